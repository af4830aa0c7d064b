export function Sessions(_: { route: unknown }) {
  return null
}
