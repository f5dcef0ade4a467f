// The colors and sizes are Home Assistant's, so that the panel follows every theme.

export const STYLE = `
:host { display: block; min-height: 100%; background: var(--primary-background-color);
  color: var(--primary-text-color); font-family: var(--ha-font-family-body, Roboto, sans-serif); line-height: 1.5; }
[hidden] { display: none !important; }
header { position: sticky; top: 0; z-index: 2; display: flex; align-items: center; gap: 8px; padding: 0 12px;
  height: var(--header-height, 56px); background: var(--app-header-background-color);
  color: var(--app-header-text-color, var(--primary-text-color));
  border-bottom: var(--app-header-border-bottom, 1px solid var(--divider-color)); }
h1 { flex: 1; margin: 0 8px; font-size: 20px; font-weight: 400; overflow: hidden; text-overflow: ellipsis;
  white-space: nowrap; }
main { max-width: 960px; margin: 0 auto; padding: 16px 16px 96px; }
svg { width: 24px; height: 24px; fill: currentColor; display: block; }
button, select, input, textarea { font: inherit; color: inherit; }
button { cursor: pointer; border: 1px solid transparent; border-radius: 18px; padding: 5px 14px; background: none;
  min-height: 36px; }
button:disabled { opacity: 0.5; cursor: default; }
button.icon { padding: 8px; border-radius: 50%; }
button.plain, button.danger { border-color: var(--divider-color); }
button.danger { color: var(--error-color); }
button.primary { background: var(--primary-color); color: var(--text-primary-color, #fff); border-color: transparent; }
button.danger.primary { background: var(--error-color); }
button.link { padding: 0 4px; min-height: 0; color: var(--primary-color); text-decoration: underline; }
button.view { border-color: var(--divider-color); border-radius: 0; padding: 5px 20px; }
button.view:first-child { border-radius: 18px 0 0 18px; }
button.view:last-child { border-radius: 0 18px 18px 0; }
button.view[aria-pressed="true"] { background: var(--primary-color); color: var(--text-primary-color, #fff); }
button:hover:not(:disabled) { filter: brightness(1.1); }
:focus-visible { outline: 2px solid var(--primary-color); outline-offset: 2px; }
header :focus-visible { outline-color: currentColor; }
input[type="search"], select, textarea { background: var(--card-background-color); box-sizing: border-box;
  border: 1px solid var(--outline-color, var(--divider-color)); border-radius: 8px; padding: 8px 12px; min-height: 40px;
  color: var(--primary-text-color); }
input[type="checkbox"], input[type="radio"] { width: 20px; height: 20px; margin: 2px; flex: none;
  accent-color: var(--primary-color); }
.tools { display: flex; flex-wrap: wrap; gap: 12px; align-items: end; margin: 16px 0 8px; }
.tools form { flex: 1 1 100%; }
.tools form input { width: 100%; }
.choice { display: flex; flex-direction: column; gap: 2px; min-width: 0; }
.choice span, .hint, .origin, .status, .relevance { color: var(--secondary-text-color); font-size: 14px; }
.choice select { max-width: 220px; }
.servers .choice { flex-direction: row; align-items: center; }
.servers .choice span { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.check { display: flex; align-items: center; gap: 6px; min-height: 40px; }
.status { margin: 12px 4px; }
.status.failed { color: var(--error-color); font-size: 16px; }
ul, ol { list-style: none; margin: 0; padding: 0; }
.memories { display: flex; flex-direction: column; gap: 12px; }
.card { display: flex; gap: 12px; padding: 14px 16px; background: var(--ha-card-background, var(--card-background-color));
  border: 1px solid var(--ha-card-border-color, var(--divider-color)); border-radius: var(--ha-card-border-radius, 12px); }
.content { flex: 1; min-width: 0; }
.text { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: isolate; }
.text.cut { display: -webkit-box; -webkit-line-clamp: 6; -webkit-box-orient: vertical; overflow: hidden; }
.text.covered { font-style: italic; }
.card.past .text { color: var(--secondary-text-color); text-decoration: line-through; }
.origin { margin: 2px 0 6px; overflow-wrap: anywhere; }
.labels { display: flex; flex-wrap: wrap; gap: 6px; }
.label { font-size: 12px; padding: 1px 8px; border-radius: 10px; background: var(--secondary-background-color);
  overflow-wrap: anywhere; }
.label.private { border: 1px solid var(--primary-color); }
.label.past, .label.warning { border: 1px solid var(--warning-color, var(--error-color)); }
.relevance { display: flex; align-items: center; gap: 8px; margin-top: 6px; }
meter { width: 96px; height: 8px; }
.actions { display: flex; flex-wrap: wrap; gap: 8px; margin-top: 10px; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 16px; }
h3 { margin: 0 0 4px; font-size: 13px; font-weight: 500; color: var(--secondary-text-color); }
.end { display: flex; justify-content: center; margin: 16px; }
.selection { position: sticky; bottom: 16px; z-index: 1; display: flex; flex-wrap: wrap; gap: 8px; align-items: center;
  margin-top: 16px; padding: 10px 16px; border-radius: 12px; background: var(--card-background-color);
  border: 1px solid var(--primary-color); box-shadow: 0 4px 16px rgba(0, 0, 0, 0.3); }
.selection span { flex: 1; }
dialog { width: min(560px, calc(100vw - 32px)); max-height: calc(100dvh - 64px); box-sizing: border-box; padding: 20px 24px;
  border: 0; border-radius: var(--ha-dialog-border-radius, 24px); background: var(--card-background-color);
  color: var(--primary-text-color); }
dialog[open] { display: flex; flex-direction: column; }
dialog::backdrop { background: rgba(0, 0, 0, 0.5); }
dialog h2 { margin: 0 0 12px; font-size: 20px; font-weight: 400; }
dialog .body { overflow: auto; flex: 1; }
dialog .actions { justify-content: flex-end; }
.failure { margin: 8px 0 0; color: var(--error-color); }
.failure:empty { display: none; }
.field { display: flex; flex-direction: column; gap: 4px; }
.field textarea { width: 100%; resize: vertical; }
.listed { display: flex; flex-direction: column; gap: 10px; }
.listed li { border-inline-start: 3px solid var(--divider-color); padding-inline-start: 12px; }
.until { margin: 0; font-size: 13px; color: var(--secondary-text-color); }
.until.now { color: var(--primary-color); font-weight: 500; }
fieldset { border: 0; margin: 0 0 12px; padding: 0; }
legend { font-weight: 500; padding: 0; }
.candidate { display: flex; gap: 10px; padding: 6px 0; }
.candidate > div { min-width: 0; }
:host([narrow]) main { padding: 12px 12px 96px; }
:host([narrow]) .pair { grid-template-columns: 1fr; }
:host([narrow]) .choice { flex: 1 1 40%; }
:host([narrow]) .choice select { max-width: none; width: 100%; }
:host([narrow]) dialog { width: 100vw; max-width: 100vw; height: 100dvh; max-height: 100dvh; margin: 0; border-radius: 0; }
`;
