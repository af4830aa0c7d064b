import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { addWords, BEGINNING, SHORT_BEGINNING, soughtWords } from './words.ts'

/** Whether the words of the index for a text answer a question: what the index does, on one text. */
function finds(text: string, question: string): boolean {
  const words = new Set<string>()
  addWords(words, text)
  const sought = soughtWords(question)
  return (
    sought.length > 0 &&
    sought.every(({ word, beginning }) => {
      if (words.has(word)) return true
      if (!beginning) return false
      if (word.length <= SHORT_BEGINNING) return words.has(BEGINNING + word)
      return [...words].some((one) => one.startsWith(word))
    })
  )
}

describe('words', () => {
  it.each([
    ['select * from public.customers', 'customers', true],
    ['select * from public.customers', 'public.customers', true],
    ['select * from public.customers', 'public.cust', true],
    ['select * from public.customers', 'public.cust select', true],
    ['select * from public.customers', 'ustomers', false],
    ['select * from public.customers', 'cust select', false],
    ['select * from public.customers', 'select cust', true],
    ['select * from "public"."customers"', 'public.customers', true],
    ['select * from public.customers', '"public"."customers"', true],
    ['select * from public."Order Items"', 'public.order items', true],
    ['select customer_id from t', 'id', true],
    ['select customer_id from t', 'customer', true],
    ['select customer_id from t', 'customer_i', true],
    ['select o.customer_id from t', 'customer_id', true],
    ["where id = '3f2b8c1e-9d4a-4f6b-8e2a-1c5d7e9f0a3b'", '3f2b8c1e-9d4a-4f6b-8e2a-1c5d7e9f0a3b', true],
    ["where id = '3f2b8c1e-9d4a-4f6b-8e2a-1c5d7e9f0a3b'", '9d4a-4f6b', true],
    ["where id = '3f2b8c1e-9d4a-4f6b-8e2a-1c5d7e9f0a3b'", '3f2b8c1e-9d4b', false],
    ["mail = 'Ada.Lovelace@Example.com'", 'ada.lovelace@example.com', true],
    ["mail = 'ada.lovelace@example.com'", 'example.com', true],
    ["mail = 'ada.lovelace@example.com'", 'lovelace@', true],
    ['select 1234567', '1234', true],
    ['select 1234567', '234', false],
    ["at > '2026-11-21T10:00:00Z'", '2026-11', true],
    ['drop table größe', 'GROSSE', false],
    ['drop table größe', 'größe', true],
    ['drop table größe', 'grö', true],
    ['select café', 'CAFE', true],
    ['select cafe\u0301', 'café', true],
    ['select İstanbul', 'istanbul', true],
    ['ΟΔΟΣ', 'οδος', true],
    ["name = '顧客情報管理'", '客情', true],
    ["name = '顧客情報管理'", '情客', false],
    ["name = '顧客情報管理システム一覧'", '客情報管理システム', true],
    ["name = '顧客情報管理システム一覧'", '客情報管理システル', false],
    ["name = 'データベース'", 'ベース', true],
    ["name = '한국어데이터'", '데이터', true],
    ["name = 'ข้อมูลลูกค้า'", 'ลูกค้า', true],
    ["name = 'user顧客12'", 'user顧', true],
    ["name = 'user顧客12'", '客12', true],
    ["name = '𠮷野家'", '野家', true],
    ["name = '𠮷野家'", '𠮷', true],
    ['a b', 'a OR zzz', false],
    ['a', 'NEAR(a', false],
    ['a', '"; a', true],
    ['a', '***', false],
    ['a', '', false],
    ['a\0b', 'b', true],
    ['x'.repeat(500), 'x'.repeat(500), true],
    ['x'.repeat(500), 'x'.repeat(70), true],
    ['a- b', 'a-b', false],
    ['a--b', 'a-b', false],
  ])('%j has %j: %s', (text, question, has) => {
    expect(finds(text, question)).toBe(has)
  })

  const character = fc.constantFrom(...'aabb1.._-@ "é顧客\u{20bb7}')
  const text = fc.string({ unit: character, maxLength: 30 })

  it('finds in a text whatever follows one of its words’ beginnings', () => {
    fc.assert(
      fc.property(text, fc.nat(), fc.nat(), (whole, from, length) => {
        const units = Array.from(whole)
        const at = from % (units.length + 1)
        // A word that is cut in its middle isn't found, nor is one in quotes that aren't cut with it.
        const before = units[at - 1]
        if (before !== undefined && /[ab1é]/.test(before)) return
        const part = units.slice(at, at + (length % 12)).join('')
        if (part.includes('"') || (whole.includes('"') && part.includes('.'))) return
        const sought = soughtWords(part)
        if (sought.length === 0 || /[ .][._@-]|[._@-][ .]|[._@-]{2}/.test(part)) return
        // Only the last word, and chains, may go on.
        const next = units[at + (length % 12)]
        if (next !== undefined && /\s/.test(part)) return
        if (sought.some(({ word, beginning }) => !beginning && word.length < 2) && next !== undefined) return
        expect(finds(whole, part)).toBe(true)
      }),
      { seed: 4, numRuns: 3000 },
    )
  })

  it('takes anything for a question, and bounds it', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (question) => {
        for (const { word } of soughtWords(question)) {
          expect(word).not.toMatch(/[\s"~^=*]/)
          expect(word.length).toBeLessThanOrEqual(65)
        }
      }),
      { seed: 5, numRuns: 2000 },
    )
    expect(soughtWords(Array.from({ length: 500 }, (_, i) => `w${i}`).join(' '))).toHaveLength(64)
  })

  it('has no more words than a text has room for', () => {
    const words = new Set<string>()
    addWords(words, '顧客'.repeat(2000))
    addWords(words, 'a.'.repeat(2000))
    expect([...words].every((word) => word.length <= 66)).toBe(true)
  })
})
