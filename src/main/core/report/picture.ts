import type { MarkerKind } from '../../../recording-steps.ts'
import { type Html, html } from './html.ts'

/** Something on the picture: a moment, or a stretch of time. Milliseconds. */
export interface Mark {
  readonly t: number
  readonly kind: MarkerKind | 'note'
  readonly label: string
}

const [width, height, bars, places] = [1000, 120, 200, 160]
const weight: Record<Mark['kind'], number> = { denied: 6, note: 5, error: 4, mask: 3, hold: 2, released: 1 }
/** Shape and colour: paper is often black and white. */
const shapes: Record<Mark['kind'], { of: (x: number, y: number) => Html; says: string }> = {
  denied: { of: (x, y) => html`<path d="M${x} ${y - 6}l6 6-6 6-6-6z" fill="#c3302b"/>`, says: 'denied' },
  error: { of: (x, y) => html`<rect x="${x - 4}" y="${y - 4}" width="8" height="8" fill="#9a6200"/>`, says: 'error' },
  hold: {
    of: (x, y) => html`<circle cx="${x}" cy="${y}" r="4" fill="#fff" stroke="#9a6200" stroke-width="2"/>`,
    says: 'held',
  },
  released: { of: (x, y) => html`<circle cx="${x}" cy="${y}" r="5" fill="#1f7a4d"/>`, says: 'approved' },
  mask: { of: (x, y) => html`<path d="M${x - 5} ${y + 4}h10l-5-9z" fill="#2f5bea"/>`, says: 'masked or revealed' },
  note: { of: (x, y) => html`<path d="M${x - 4} ${y - 6}h8v9h-4l-4 4z" fill="#1d1d1b"/>`, says: 'note' },
}

/**
 * The whole session in one picture (SVG): how busy it was, and what happened when. At most one mark a place; what
 * matters most wins.
 * @param moments of commands, milliseconds  @param length of the session, milliseconds
 */
export function timelinePicture(moments: readonly number[], marks: readonly Mark[], length: number): Html {
  const whole = Math.max(1, length)
  const counts = new Array<number>(bars).fill(0)
  for (const t of moments) counts[Math.min(bars - 1, Math.floor((t / whole) * bars))]! += 1
  const most = Math.max(1, ...counts)
  const best = new Map<number, Mark>()
  for (const mark of marks) {
    const at = Math.floor((mark.t / whole) * places)
    const old = best.get(at)
    if (!old || weight[mark.kind] > weight[old.kind]) best.set(at, mark)
  }
  const kinds = [...new Set(marks.map(({ kind }) => kind))].sort((a, b) => weight[b] - weight[a])
  const said = kinds.map((kind) => `${marks.filter((mark) => mark.kind === kind).length} ${shapes[kind].says}`)
  return html`<figure>
<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${`Timeline: ${moments.length} commands${said.length ? `, ${said.join(', ')}` : ''}`}">
<line x1="0" y1="${height - 20.5}" x2="${width}" y2="${height - 20.5}" stroke="#c9c8c2"/>
${counts.map((n, i) => n > 0 && html`<rect x="${round((i / bars) * width)}" y="${round(height - 21 - 8 - 48 * Math.sqrt(n / most))}" width="3.6" height="${round(8 + 48 * Math.sqrt(n / most))}" fill="#b9b8b2"/>`)}
${[...best.values()].map((mark) => shapes[mark.kind].of(round(8 + (mark.t / whole) * (width - 16)), 18))}
<text x="0" y="${height - 5}">0:00</text><text x="${width / 2}" y="${height - 5}" text-anchor="middle">${clock(whole / 2)}</text><text x="${width}" y="${height - 5}" text-anchor="end">${clock(whole)}</text>
</svg>
<figcaption>${kinds.map((kind) => html`<span><svg class="key" viewBox="0 0 14 14" aria-hidden="true">${shapes[kind].of(7, 7)}</svg>${shapes[kind].says}</span>`)}<span class="dim">bars: commands over time</span></figcaption>
</figure>`
}

/** How the commands went, as bars with their numbers. */
export function tallyPicture(rows: readonly { name: string; n: number; colour: string }[], of: number): Html {
  const most = Math.max(1, of)
  return html`<table class="tally"><tbody>${rows.map(
    ({ name, n, colour }) =>
      html`<tr><th scope="row">${name}</th><td class="n">${n.toLocaleString('en')}</td><td class="bar"><svg viewBox="0 0 200 8" preserveAspectRatio="none" aria-hidden="true"><rect width="200" height="8" fill="#eeede8"/><rect width="${n === 0 ? 0 : Math.max(1.5, round((Math.min(n, most) / most) * 200))}" height="8" fill="${colour}"/></svg></td></tr>`,
  )}</tbody></table>`
}

/** Milliseconds as 1:02:03, 0:07 or 0:07.250. */
export function clock(ms: number, fine = false): string {
  const seconds = Math.floor(ms / 1000)
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60]
  const two = (n: number) => String(n).padStart(2, '0')
  const part = fine ? `.${String(Math.floor(ms % 1000)).padStart(3, '0')}` : ''
  return `${h > 0 ? `${h}:${two(m)}` : m}:${two(s)}${part}`
}

const round = (n: number) => Math.round(n * 10) / 10
