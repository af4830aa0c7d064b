import { csvHead, csvOf } from '@countersign/contract/ledger/campaign-pack'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { escaped, html, lines, pageHead } from './page.ts'

describe('what others wrote', () => {
  it.each([
    ['<script>alert(1)</script>', '&lt;script&gt;alert(1)&lt;/script&gt;'],
    ['" onload="x', '&quot; onload=&quot;x'],
    ["'&", '&#39;&amp;'],
    ['a\u202eb\u2066c', 'a\\u{202e}b\\u{2066}c'],
    ['zero\u200bwidth\u00adhyphen\ufeff', 'zero\\u{200b}width\\u{ad}hyphen\\u{feff}'],
    ['\u0000\u001b[31m\u0085', '\\u{0}\\u{1b}[31m\\u{85}'],
    ['tag\u{e0041}', 'tag\\u{e0041}'],
    ['lone\ud800', 'lone\\u{d800}'],
    ['Grüße, 世界 😀', 'Grüße, 世界 😀'],
  ])('%j is text', (text, shown) => expect(html`${text}`.text).toBe(shown))

  it('keeps its lines where it has some', () => {
    expect(lines('permit (\r\n\tprincipal\n);\u2028<b>').text).toBe(
      '<pre>permit (\n  principal\n);\\u{2028}&lt;b&gt;</pre>',
    )
  })

  it('never makes an element, an attribute or an entity, nor anything unseen', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
        const page = escaped(text)
        expect(page).not.toMatch(/[<>"']|&(?!(amp|lt|gt|quot|#39);)/)
        expect(page).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
        expect(page.isWellFormed()).toBe(true)
      }),
      { numRuns: 1000, seed: 6 },
    )
  })
})

it('the page allows its own style and nothing else', () => {
  const head = pageHead('x').text
  const policy = /content="(default-src[^"]*)"/.exec(head)![1]!
  expect(policy).toMatch(/^default-src 'none'; style-src 'sha256-[\w+/]{43}='; base-uri 'none'; form-action 'none'$/)
  expect(head).not.toMatch(/<script|url\(|@import|https?:/)
})

/** RFC 4180, section 2. */
function parsed(csv: string): string[][] {
  const rows: string[][] = [[]]
  let at = 0
  while (at < csv.length) {
    let value = ''
    if (csv[at] === '"') {
      for (at++; csv[at] !== '"' || csv[at + 1] === '"'; at++) {
        if (csv[at] === '"') at++
        value += csv[at]
      }
      at++
    } else while (csv[at] !== ',' && !csv.startsWith('\r\n', at)) value += csv[at++]
    rows.at(-1)!.push(value)
    if (csv[at] === ',') at++
    else {
      at += 2
      rows.push([])
    }
  }
  return rows.slice(0, -1)
}

describe('the table', () => {
  const row = (name: string) =>
    csvOf(
      {
        ...{ format: 'countersign-item/1', campaign: 'ca', id: 'it', entry: 1, at: '', number: 1, kind: 'access' },
        ...{ name, connection: 'orders', privileged: false, evidence: '', reviewers: [], verdict: 'undecided' },
        recommendation: { verdict: 'certify', summary: '', reasons: [], keeps: [], drops: [] },
        ...{ decisions: [], comments: [], moves: [], stages: [], overlays: [], exceptions: [] },
      },
      undefined,
    )
  const shown = (name: string) => parsed(row(name))[0]![4]!

  it('has a name for each column', () => {
    expect(parsed(csvHead())[0]!.length).toBe(parsed(row('x'))[0]!.length)
  })

  it.each([
    ['=1+1', "'=1+1"],
    ['+1', "'+1"],
    ['-1', "'-1"],
    ['@SUM(A1)', "'@SUM(A1)"],
    ['\t=1', '\\u{9}=1'],
    ['\r=1', '\\u{d}=1'],
    ['  =1', "'  =1"],
    ['\n=1', "'\n=1"],
    ['\uff1d1', "'\uff1d1"],
    ['|calc', "'|calc"],
    ['a,"b"\nc', 'a,"b"\nc'],
    ['a\u202eb', 'a\\u{202e}b'],
    ['plain', 'plain'],
  ])('%j is %j', (name, value) => expect(shown(name)).toBe(value))

  it('holds any text in one field, which no spreadsheet takes for a formula', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 100 }), (name) => {
        const rows = parsed(row(name))
        expect(rows).toHaveLength(1)
        expect(rows[0]).toHaveLength(30)
        expect(rows[0]![4]).not.toMatch(/^\s*[=+\-@|%\uff1d\uff0b\uff0d\uff20]/)
      }),
      { numRuns: 500, seed: 6 },
    )
  })
})
