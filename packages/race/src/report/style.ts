/** Style sheet of the report: light and dark, phone and print. The series colours have a contrast of at least 3 to the background. */
export const style = `
:root { color-scheme: light dark; --text: #1b1b1b; --soft: #5b5f66; --ground: #ffffff; --panel: #f4f5f7; --line: #d7dade;
  --good: #0b6e4f; --alarm: #9a3412; --alarm-ground: #fff4e8;
  --series-0: #0072b2; --series-1: #c94f00; --series-2: #00795c; --series-3: #b03a7e; --series-4: #8a6d00; --series-5: #5b4fc4;
  --series-6: #5f6368; --series-7: #a0522d; }
@media (prefers-color-scheme: dark) { :root { --text: #e8e8e8; --soft: #a5abb3; --ground: #15171a; --panel: #1f2226; --line: #3a3f46;
  --good: #5fd3a8; --alarm: #ffb37a; --alarm-ground: #33241a;
  --series-0: #56b4e9; --series-1: #ff9a5c; --series-2: #4fd1a5; --series-3: #f0a3cf; --series-4: #e8c547; --series-5: #b3a7ff;
  --series-6: #c8c8c8; --series-7: #e0a080; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 48rem; color: var(--text); background: var(--ground); font: 1rem/1.5 system-ui, sans-serif;
  overflow-wrap: break-word; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0.5rem 0; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 0.5rem; padding-top: 0.7rem; border-top: 1px solid var(--line); break-after: avoid; }
h3 { font-size: 1rem; margin: 1.2rem 0 0.3rem; break-after: avoid; }
p, ul, dl { margin: 0.5rem 0; }
a { color: inherit; }
.soft, figcaption, caption { color: var(--soft); font-size: 0.875rem; }
.bad { color: var(--alarm); }
.verdict { background: var(--panel); border-left: 4px solid var(--good); padding: 0.6rem 1rem; margin: 1rem 0; }
.verdict.even { border-left-color: var(--soft); }
.verdict p, .alarm p { font-size: 1.05rem; margin: 0.2rem 0; }
.verdict p.soft { font-size: 0.9rem; }
pre { font-size: 0.8rem; overflow-x: auto; }
.alarm { background: var(--alarm-ground); border-left: 4px solid var(--alarm); padding: 0.6rem 1rem; margin: 1rem 0; }
.alarm h2 { border: 0; margin: 0; padding: 0; font-size: 1rem; color: var(--alarm); }
.alarm ul, .remarks { padding-left: 1.2rem; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; font-variant-numeric: tabular-nums; margin: 0.5rem 0; }
caption { text-align: left; padding: 0.3rem 0; }
th, td { text-align: right; padding: 0.3rem 0.5rem; border-bottom: 1px solid var(--line); vertical-align: top; }
th:first-child, td:first-child, td.text, th.text { text-align: left; }
/* Code may break anywhere, so that its column would shrink to a few letters. */
td.text { min-width: 11rem; overflow-wrap: anywhere; }
thead th { color: var(--soft); font-weight: 600; vertical-align: bottom; }
tbody th { font-weight: 600; }
tbody th a { overflow-wrap: anywhere; }
tbody th:has(a) { min-width: 8rem; }
tr { break-inside: avoid; }
.scroll { overflow-x: auto; }
figure { margin: 0.5rem 0 1rem; break-inside: avoid; }
svg.wide, svg.narrow, svg.chart { display: block; max-width: 100%; height: auto; color: var(--text); }
svg.narrow { display: none; }
.charts { display: grid; grid-template-columns: 1fr 1fr; gap: 0 1.5rem; }
.charts figure { margin-bottom: 1rem; }
progress { width: 100%; accent-color: var(--good); }
form { margin: 0.5rem 0 1rem; }
label { display: block; margin: 0.5rem 0; }
input, select, button { font: inherit; color: inherit; background: var(--ground); border: 1px solid var(--soft); border-radius: 4px;
  padding: 0.25rem 0.5rem; max-width: 100%; }
label input, label select { display: block; }
button { background: var(--panel); cursor: pointer; }
.legend { display: flex; flex-wrap: wrap; gap: 0.1rem 1.2rem; list-style: none; padding: 0; font-size: 0.9rem; }
.legend svg { vertical-align: middle; }
dl { display: grid; grid-template-columns: 12rem 1fr; gap: 0.25rem 1rem; font-size: 0.95rem; }
dt { color: var(--soft); }
dd { margin: 0; min-width: 0; }
code { font-size: 0.85rem; overflow-wrap: anywhere; }
details { margin: 0.5rem 0; }
summary { cursor: pointer; }
@media (max-width: 600px) {
  body { padding: 0.8rem; }
  svg.wide { display: none; }
  svg.narrow { display: block; }
  .charts { grid-template-columns: 1fr; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: 0.5rem; }
  table.cards thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  table.cards tr { display: block; padding: 0.4rem 0; border-bottom: 1px solid var(--line); }
  table.cards th, table.cards td { display: flex; justify-content: space-between; gap: 1rem; border: 0; padding: 0.1rem 0; text-align: right; }
  table.cards td::before { content: attr(data-label); color: var(--soft); text-align: left; flex: 0 0 50%; }
  table.cards th, table.cards td.text { text-align: left; justify-content: flex-start; }
  table.cards th, table.cards td { overflow-wrap: anywhere; }
  table.cards td.text { min-width: 0; }
  table.cards td.text::before { flex-basis: 30%; }
  table.cards td:has(span:empty) { display: none; }
}
@media print {
  :root { color-scheme: light; --text: #000; --soft: #444; --ground: #fff; --panel: #f4f5f7; --line: #bbb; --good: #0b6e4f; --alarm: #9a3412;
    --alarm-ground: #fff4e8; --series-0: #0072b2; --series-1: #c94f00; --series-2: #00795c; --series-3: #b03a7e; --series-4: #8a6d00;
    --series-5: #5b4fc4; --series-6: #5f6368; --series-7: #a0522d; }
  body { max-width: none; padding: 0; font-size: 10.5pt; }
  svg.wide { display: block; max-width: 16cm; }
  svg.narrow { display: none; }
  .scroll { overflow: visible; }
  .verdict, .alarm { print-color-adjust: exact; }
}
`
