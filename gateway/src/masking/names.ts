/** Words of a column's name, joined by `_` → class. The first that fits counts. */
const classes: [dataClass: string, words: RegExp, kinds: readonly ('text' | 'number' | 'other')[]][] = [
  ['password', /(^|_)(password|passwd|passphrase|pwd)(_(hash|digest|encrypted))?$/, ['text', 'other']],
  [
    'secret',
    /(^|_)(secret|secret_key|client_secret|private_key|api_?key|access_key|(access|refresh|auth|session|bearer|api)_token)$/,
    ['text', 'other'],
  ],
  ['email', /(^|_)(e_?mail|e_?mail_?(address|addr))(_\d+)?$/, ['text']],
  ['ssn', /(^|_)(ssn|social_security(_(number|no|nr))?)$/, ['text', 'number']],
  ['iban', /(^|_)iban$/, ['text']],
  [
    'card',
    /(^|_)((credit_?|debit_?)card(_?(number|no|nr))?|card_?(number|no|nr)|cc_?(number|no|num)|pan)$/,
    ['text', 'number'],
  ],
  ['phone', /(^|_)(tele)?(phone|mobile|cell_?phone|msisdn|fax)(_?(number|no|nr))?(_\d+)?$/, ['text', 'number']],
  ['birth_date', /(^|_)(birth_?(date|day)|date_of_birth|dob)$/, ['text', 'other']],
  ['name', /(^|_)(first|last|full|family|given|maiden|middle|sur)_?name$/, ['text']],
  [
    'address',
    /(^|_)(street(_?(address|name))?|(home|postal|mailing|billing|shipping)_address|address_line(_?\d)?)$/,
    ['text'],
  ],
  ['passport', /(^|_)passport(_?(number|no|nr))?$/, ['text', 'number']],
  ['national_id', /(^|_)(national_id|nin|nino|tax_?id|tin|vat_?(id|number))$/, ['text', 'number']],
]

/**
 * The class that the name of a column speaks for; undefined where it says nothing.
 * @param kind of its type: `other` is neither text nor number (dates, bytea)
 */
export function classByName(name: string, kind: 'text' | 'number' | 'other'): string | undefined {
  const words = name
    .replace(/([a-z\d])([A-Z])/g, '$1_$2')
    .replace(/[^A-Za-z\d]+/g, '_')
    .toLowerCase()
  return classes.find(([, pattern, kinds]) => kinds.includes(kind) && pattern.test(words))?.[0]
}
