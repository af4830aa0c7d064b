/**
 * The part of a value that is shown, by its class. How long the whole was isn't told.
 * @returns undefined where the value doesn't look like its class, or is so short that a part would give it away
 */
export function partly(value: string, dataClass: string): string | undefined {
  const known = parts.get(dataClass.toLowerCase().replaceAll('-', '_'))
  return known === undefined ? firstCharacter(value) : known(value)
}

const part = {
  email,
  phone: (value: string) => lastDigits(value, 2, 6, 20),
  card: (value: string) => lastDigits(value, 4, 12, 19),
  ssn: (value: string) => lastDigits(value, 4, 9, 9),
  iban,
  name: initials,
}

const parts = new Map([
  ['email', part.email],
  ['email_address', part.email],
  ['phone', part.phone],
  ['phone_number', part.phone],
  ['card', part.card],
  ['card_number', part.card],
  ['credit_card', part.card],
  ['ssn', part.ssn],
  ['us_ssn', part.ssn],
  ['iban', part.iban],
  ['name', part.name],
  ['person_name', part.name],
  ['full_name', part.name],
])

function email(value: string): string | undefined {
  if (value.length > 320) return undefined
  const match = /^([^\s@]{2,})@([^\s@.][^\s@.]+)(?:\.[^\s@.]+)*(\.[A-Za-z]{2,})$/u.exec(value)
  if (!match) return undefined
  return `${first(match[1]!)}***@${first(match[2]!)}***${match[3]}`
}

function lastDigits(value: string, shown: number, least: number, most: number): string | undefined {
  if (value.length > 40 || !/^\+?[\d\s().-]+$/.test(value)) return undefined
  const digits = value.replace(/\D/g, '')
  return digits.length < least || digits.length > most ? undefined : `***${digits.slice(-shown)}`
}

function iban(value: string): string | undefined {
  const plain = value.length > 64 ? '' : value.replace(/\s/g, '').toUpperCase()
  return /^[A-Z]{2}\d{2}[A-Z0-9]{11,30}$/.test(plain) ? `${plain.slice(0, 2)}***${plain.slice(-4)}` : undefined
}

function initials(value: string): string | undefined {
  const words = value.length > 200 ? [] : value.trim().split(/\s+/)
  if (words.length > 4 || words.some((word) => [...word].length < 2)) return undefined
  return words.map((word) => `${first(word)}.`).join(' ')
}

function firstCharacter(value: string): string | undefined {
  return value.length < 4 ? undefined : `${first(value)}***`
}

const first = (text: string): string => String.fromCodePoint(text.codePointAt(0)!)
