"""The words that say that what stands beside them is a secret, in English, German, French, Spanish and Dutch."""

from __future__ import annotations

PIN = (
    r"pin(?:[ -]?(?:code|number|nummer))?|puk(?:[ -]?code)?|pass ?code|cv[vc]2?|geheim(?:zahl|nummer|code)|pincode"
    r"|digicode"
    r"|(?:security|verification|one[ -]time|access|entry|unlock|disarm) code|code (?:secret|confidentiel|pin)"
    r"|(?:zugangs|zutritts|sicherheits|bestätigungs|entsperr)[ -]?code|code d['\u2019](?:accès|entrée)"
    r"|código (?:secreto|pin|de (?:acceso|seguridad|verificación))|(?:toegangs|beveiligings|verificatie)[ -]?code"
)
"""A number beside one of these is a secret, whatever else is said."""

CODE = (
    r"codes?|\w*code|(?:zahlen)?kombination|combination|combo|combinaison|c[oó]digo|clave|combinaci[oó]n|combinatie"
    r"|cijfercode"
)
"""A number beside one of these is one if a lock is named too, or if it is said to be the code."""

HARMLESS_CODE = (
    r"error|fault|trouble|diagnostic|zip|post(?:al)?|area|country|dial(?:ing)?|bar|qr|product|article|item|model|part"
    r"|promo(?:tion(?:al|s)?)?|discount|coupon|gift|voucher|dress|colou?r|paint|tracking|booking|reservation"
    r"|confirmation|source|class|course|status|flash|fehler|stör(?:ungs)?|vorwahl|farb|artikel|rabatt|gutschein"
    r"|buchungs|strich|produkt|erreur|couleur|remise|fout|storings?|kleur|kortings?|streep|boekings|landen?|länder"
)
"""What stands before `code` where it is none of a lock."""
HARMLESS_CODE_AFTER = (
    r"(?:d['\u2019]erreur|postal|(?:à|a) barres|promo(?:tionnel)?|de (?:couleur|réduction|réservation|barras|color"
    r"|descuento"
    r"|reserva|error|producto|área|país)|de error|word|review|hint)"
)
"""What stands behind it there."""

LOCK = (
    r"doors?|garage\w*|gates?|alarm\w*|safe|vault|lock\w*|padlock|keypad|building|apartment|condo|cabin|airbnb|shed"
    r"|suitcase|luggage|phone|iphone|ipad|tablet|laptop|computer|sim|atm|bank\w*|entrance|front|elevator|security"
    r"|\w*tür\w*|\w*tor|tresor|\w*schlo(?:ss|ß)\w*|schlüssel\w*|koffer|handy|telefon|wohnung|eingang|haus|schuppen"
    r"|karte"
    r"|porte|portail|portillon|alarme|coffre\w*|cadenas|immeuble|entrée|valise|téléphone|carte|maison"
    r"|puerta|portal|garaje|alarma|candado|caja|edificio|entrada|maleta|tel[eé]fono|m[oó]vil|tarjeta|casa"
    r"|\w*deur|poort|kluis|\w*slot|gebouw|ingang|telefoon|\w*pas|kaart|huis|schuur"
)
"""What a code opens."""

NUMBERED_LOCK = (
    r"lock ?box|padlock|combination lock|keypad|safe|tresor|zahlenschloss|schlüssel(?:tresor|safe|kasten)"
    r"|coffre(?:-fort)?|cadenas|boîte à clés?|caja fuerte|candado|kluis|cijferslot|sleutelkluis(?:je)?"
)
"""What has no other number than its code."""

PASSWORD = (
    r"pass ?words?|passwor[dt]e?|kennw(?:ort|örter)|passwd|pwd|pass ?phrase|mots? de passe|mdp|contraseña|contrasena"
    r"|wachtwoord(?:en)?|(?:wi-?fi|wlan|wireless|network|netzwerk|router)[ -]?(?:passwor[dt]|key|schlüssel|code"
    r"|wachtwoord)"
    r"|wifi-?(?:sleutel|wachtwoord)|(?:clé|code) (?:du |de la )?(?:wi-?fi|réseau|box)"
    r"|clave (?:del? |de la )?(?:wi-?fi|red|router)|api[ -]?(?:key|token|schlüssel)|clé api|clave api|api-sleutel"
    r"|(?:access|auth|bearer|secret) (?:token|key)|client secret|(?:recovery|backup) (?:key|code|phrase)s?|seed phrase"
    r"|wiederherstellungs(?:schlüssel|code)"
)
"""What follows one of these, said to be it, is a secret, be it letters or digits."""

IS = (
    r"(?:is|are|c['\u2019]est|ist|lautet|heißt|heisst|est|es|son|luidt|zijn|(?:(?:was|got|has been|is|wurde|a été|est"
    r"|ha sido|werd) )?"
    r"(?:changed|set|reset|geändert|gesetzt|changée?|cambiad[ao]|veranderd|gewijzigd) (?:to|auf|en|à|a|in|naar))"
)
NOW = (
    r"(?:(?:now|currently|still|noch|toujours|todavía|nog|jetzt|nun|aktuell|maintenant|désormais"
    r"|ahora|nu|:|auf|to)\s+)*"
)

NO_PASSWORD = frozenset(
    word
    for line in (
        "a about again all always an and any at bad been behind being both but by case changed correct different easy",
        "expired fine for forgotten from gone good hard here hidden his her hint if in incorrect inside invalid it its",
        "just kept known long lost missing my needed never new no not now of on or our out over",
        "please printed required",
        "reset safe same saved secret short so some something still stored strong stuck such taped",
        "that the their there",
        "this to too under unknown unchanged very was weak what where which with without working written wrong your",
        "abgelaufen aber am an auf beim bekannt das dasselbe dem den der die ein eine einem einen falsch für geheim",
        "geändert gleich gut hinter im immer in ist kein keine klebt lang leer liegt mein mit neben",
        "nicht nie noch notiert",
        "ohne richtig schon sehr sicher steht unbekannt und uns unser unter vergessen verloren von",
        "weg wie wieder zu zum",
        "au aux avec changé ce cette dans de derrière des du dans écrit encore et expiré faux incorrect la le les leur",
        "long mal même mon ne noté nos notre oublié où pas perdu pour sans ses son sous sur ta trop",
        "très ton toujours un",
        "une al bajo cambiada caducada con correcta de debajo del demasiado detrás donde el en es",
        "escrita esta está fácil",
        "guardada igual incorrecta la las los mal mi misma muy no nuestra olvidada para pero por se",
        "secreta sin sobre su",
        "todavía tu un una y achter bij de dezelfde een en fout geen gewijzigd het hetzelfde in is je lang maar met",
        "mijn naast niet nog nooit of om onbekend onder ons onze op opgeschreven te uit van vergeten verkeerd verlopen",
        "voor weg zeer zonder zijn",
    )
    for word in line.split()
)
"""With these begins what is said about a password, and not the password."""

NUMBER_WORDS = (
    r"zero|oh|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(?:thir|four|fif|six|seven|eigh|nine)teen"
    r"|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|double"
    r"|null|eins?|zwei|zwo|drei|vier|fünf|sechs|sieben|acht|neun|zehn|elf|zwölf|(?:drei|vier|fünf|sech|sieb|acht"
    r"|neun)zehn"
    r"|(?:(?:ein|zwei|drei|vier|fünf|sechs|sieben|acht|neun)und)?(?:zwan|vier|fünf|sech|sieb|acht|neun)zig"
    r"|(?:(?:ein|zwei|drei|vier|fünf|sechs|sieben|acht|neun)und)?dreißig"
    r"|zéro|un|deux|trois|quatre|cinq|sept|huit|neuf|dix|onze|douze|treize|quatorze|quinze|seize|vingt|trente|quarante"
    r"|cinquante|soixante"
    r"|cero|uno|dos|tres|cuatro|cinco|seis|siete|ocho|nueve|diez|once|doce|trece|catorce|quince|veinte|treinta"
    r"|cuarenta|cincuenta|sesenta|setenta|ochenta|noventa"
    r"|nul|een|één|twee|drie|vijf|zes|zeven|negen|tien|twaalf|dertien|veertien|vijftien|twintig|dertig|veertig|vijftig"
    r"|zestig|zeventig|tachtig|negentig"
)
"""Speech recognizers write digits as words at times."""

UNIT = (
    r"%|€|\$|£|°|(?:k?g|k?m|[cm]m|[mcd]?l|k?wh?|v|volts?|watts?|gb|mb|hours?|minutes?|min|seconds?|days?|weeks?|months?"
    r"|years?|times|euros?|dollars?|bucks|pounds?|people|degrees|percent|miles|digits?|characters?|letters?|o'clock"
    r"|[ap]\.?m|tage?n?|jahre?n?|stunden?|wochen?|monate?n?|minuten|uhr|grad|prozent|leute|mal|stellen|ziffern|zeichen"
    r"|heures?|h|jours?|ans?|années?|mois|semaines?|fois|chiffres|degrés|horas?|días?|años?|meses|semanas?|veces"
    r"|dígitos|cifras|grados|uur|dagen|jaar|weken|maanden|keer|cijfers|graden)\b"
)
"""What makes a number a quantity."""

NO_CODE_BEFORE = (
    r"(?:by|until|till|before|since|after|ago|room|page|number|no\.?|nr\.?|street|line|bus|floor|channel|step|version"
    r"|bis"
    r"|seit|vor|nach|ab|zimmer|seite|nummer|linie|etage|kanal|avant|depuis|après|jusqu['\u2019]en|chambre|ligne|étage"
    r"|antes de"
    r"|desde|hasta|después de|habitación|línea|piso|voor|sinds|tot|kamer|lijn|verdieping|in|im|em|and|und|or|oder"
    r"|january|february|march|april|may|june|july|august|september|october|november|december)"
)
"""Straight before a number these say that it is a date or counts something."""
