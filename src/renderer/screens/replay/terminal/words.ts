/** How a channel ended: `exit 0`, `ended by KILL`, or that nobody told. */
export function exitWords({ code, signal }: { code?: number | undefined; signal?: string | undefined }): string {
  if (signal !== undefined) return `ended by ${signal}`
  return code === undefined ? 'ended without a status' : `exit ${code}`
}
