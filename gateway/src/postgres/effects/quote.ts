/**
 * Keywords that quote_ident() puts in quotes: every key word of PostgreSQL 18 that isn't unreserved (pg_get_keywords(),
 * catcode other than U). One fixed list, so that a policy's ids mean the same whatever the server's version.
 */
const quotedKeywords = new Set(
  `all analyse analyze and any array as asc asymmetric authorization between bigint binary bit boolean both case cast
  char character check coalesce collate collation column concurrently constraint create cross current_catalog
  current_date current_role current_schema current_time current_timestamp current_user dec decimal default deferrable
  desc distinct do else end except exists extract false fetch float for foreign freeze from full grant greatest group
  grouping having ilike in initially inner inout int integer intersect interval into is isnull join json json_array
  json_arrayagg json_exists json_object json_objectagg json_query json_scalar json_serialize json_table json_value
  lateral leading least left like limit localtime localtimestamp merge_action national natural nchar none normalize not
  notnull null nullif numeric offset on only or order out outer overlaps overlay placing position precision primary
  real references returning right row select session_user setof similar smallint some substring symmetric system_user
  table tablesample then time timestamp to trailing treat trim true union unique user using values varchar variadic
  verbose when where window with xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi
  xmlroot xmlserialize xmltable`.split(/\s+/),
)

/** An identifier as PostgreSQL's quote_ident() writes it (quote_identifier in ruleutils.c): quoted only where needed. */
export function quoteIdent(name: string): string {
  if (/^[a-z_][a-z0-9_]*$/.test(name) && !quotedKeywords.has(name)) return name
  return `"${name.replaceAll('"', '""')}"`
}

/**
 * Reads a qualified name out of a string as the server's regclass input does: parts divided by dots, unquoted ones
 * folded to lower case. Only what is surely read alike is accepted.
 * @returns the parts, or undefined where the text is anything out of the ordinary
 */
export function parseQualifiedName(text: string): string[] | undefined {
  const parts: string[] = []
  const part = /\s*(?:"((?:[^"]|"")+)"|([A-Za-z_][A-Za-z0-9_$]*))\s*(\.|$)/y
  for (;;) {
    const match = part.exec(text)
    if (!match) return undefined
    const name = match[1] !== undefined ? match[1].replaceAll('""', '"') : match[2]!.toLowerCase()
    if (Buffer.byteLength(name) > 63) return undefined
    parts.push(name)
    if (match[3] === '') return parts.length <= 3 ? parts : undefined
  }
}
