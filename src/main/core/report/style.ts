/** For paper first: A4 or Letter, page numbers by the printer's margin boxes, no colour alone. */
export const style = `
@page { margin: 18mm 16mm 20mm; @bottom-right { content: counter(page) " / " counter(pages); font: 8pt sans-serif; color: #6d6c66 } }
* { box-sizing: border-box }
body { font: 10pt/1.45 Inter, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; color: #1d1d1b; background: #fff; max-width: 190mm; margin: 0 auto; padding: 8mm }
@media print { body { padding: 0; max-width: none } }
h1 { font-size: 18pt; line-height: 1.2; margin: 0 0 2pt; overflow-wrap: anywhere }
h2 { font-size: 11.5pt; margin: 18pt 0 6pt; break-after: avoid }
p { margin: 0 0 4pt }
a { color: inherit }
.kind { text-transform: uppercase; letter-spacing: .08em; font-size: 8pt; color: #6d6c66 }
.dim { color: #6d6c66 }
.code, pre, td.n, span.n { font-family: "JetBrains Mono", ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: .88em }
.n { font-variant-numeric: tabular-nums; white-space: nowrap }
.tag { border: .6pt solid #b9b8b2; border-radius: 3pt; padding: 0 3pt; font-size: 8pt; white-space: nowrap }
.evidence { border: 1.2pt solid #6d6c66; border-radius: 4pt; padding: 8pt 10pt 6pt; margin-top: 12pt; break-inside: avoid }
.evidence h2 { margin: 0 0 4pt }
.evidence.whole { border-color: #1f7a4d } .evidence.whole h2 { color: #1f7a4d }
.evidence.incomplete { border-color: #9a6200 } .evidence.incomplete h2 { color: #9a6200 }
.evidence.broken { border-color: #c3302b; border-width: 2.4pt } .evidence.broken h2 { color: #c3302b }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2pt 12pt; margin: 4pt 0 }
dt { color: #6d6c66 } dd { margin: 0; overflow-wrap: anywhere }
figure { margin: 0 } figure > svg { width: 100%; height: auto; display: block } svg text { font: 11px sans-serif; fill: #6d6c66 }
figcaption { display: flex; flex-wrap: wrap; gap: 4pt 12pt; font-size: 8.5pt } svg.key { width: 9pt; height: 9pt; vertical-align: -1pt; margin-right: 3pt }
table { border-collapse: collapse; width: 100%; font-size: 9pt } th { text-align: left; font-weight: 600 }
th, td { padding: 2.5pt 8pt 2.5pt 0; vertical-align: top; overflow-wrap: anywhere } thead th { border-bottom: .8pt solid #b9b8b2 } tbody tr + tr td { border-top: .4pt solid #e4e3de }
thead { display: table-header-group } tr { break-inside: avoid }
.tally { width: 60%; margin-top: 8pt } .tally th { font-weight: 400; width: 36% } .tally td.n { text-align: right; width: 14% } .tally .bar svg { width: 100%; height: 6pt; display: block; margin-top: 3pt } .tally tbody tr + tr td { border: 0 }
.steps { padding-left: 34pt; margin: 0 } .steps > li { margin: 0 0 8pt; padding-left: 4pt } .steps > li::marker { color: #6d6c66; font-size: 8.5pt }
.head { margin: 0; font-size: 9pt; break-after: avoid }
li.denied .head strong { color: #c3302b } li.was-held .head strong { color: #9a6200 }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #f7f7f5; border: .4pt solid #e4e3de; border-radius: 3pt; padding: 4pt 6pt; margin: 2pt 0; unicode-bidi: isolate; tab-size: 2 }
.rows { font-size: 8pt; margin-top: 2pt } .left { font-style: italic } .note { border-left: 2pt solid #1d1d1b; padding-left: 6pt; font-size: 9pt }
footer { margin-top: 18pt; border-top: .8pt solid #b9b8b2; padding-top: 4pt; font-size: 8.5pt; color: #6d6c66 }
`
