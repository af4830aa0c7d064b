import { scrubNotification, scrubReport } from '../../masking/scrub.ts'
import { Cursor, cstring, int32, message, reportFields, T } from '../wire/messages.ts'

/**
 * An ErrorResponse or NoticeResponse with the server's words replaced by ours.
 * @param hidden classes that its words could quote
 */
export function scrubbed(frame: Buffer, hidden: readonly string[]): Buffer {
  const fields = scrubReport(new Map(Object.entries(reportFields(frame))), hidden)
  const body = [...fields].map(([letter, text]) => `${letter}${text.replaceAll('\0', '')}\0`).join('')
  return message(frame[0]!, Buffer.from(`${body}\0`))
}

/** A NotificationResponse whose payload may have been made of anything. */
export function withoutPayload(frame: Buffer, hidden: readonly string[]): Buffer {
  const cursor = new Cursor(frame)
  const process = cursor.int32()
  const channel = cursor.cstring()
  return message(
    T.NotificationResponse,
    int32(process),
    cstring(channel),
    cstring(scrubNotification(cursor.cstring(), hidden)),
  )
}
