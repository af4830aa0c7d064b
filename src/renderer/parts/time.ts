/** Times and durations in words and figures. Instants are ISO 8601 or milliseconds since 1970; clock times are local. */

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']
const two = (n: number) => String(n).padStart(2, '0')
const many = (n: number, word: string) => `${n} ${word}${n === 1 ? '' : 's'}`

/** 131000 → 2:11, 3731000 → 1:02:11. What is past is 0:00. */
export function countdown(ms: number): string {
  const all = Math.max(0, Math.ceil(ms / SECOND))
  const [h, m, s] = [Math.floor(all / 3600), Math.floor(all / 60) % 60, all % 60]
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`
}

/** 131000 → 2 minutes left: for ears, so without seconds until the last minute. */
export function spokenLeft(ms: number): string {
  if (ms <= 0) return 'time is up'
  if (ms < MINUTE) return `${many(Math.ceil(ms / SECOND), 'second')} left`
  if (ms < HOUR) return `${many(Math.floor(ms / MINUTE), 'minute')} left`
  const minutes = Math.floor((ms % HOUR) / MINUTE)
  return `${many(Math.floor(ms / HOUR), 'hour')}${minutes ? ` ${many(minutes, 'minute')}` : ''} left`
}

/** 349000 → 5:49: a place in a recording. Finer, where whole seconds would be the same for all: 413 → 0.41 s. */
export function playhead(ms: number, fine = false): string {
  if (fine && ms < MINUTE) return `${(Math.max(0, Math.floor(ms / 10)) / 100).toFixed(ms < 10 * SECOND ? 2 : 1)} s`
  const all = Math.max(0, Math.floor(ms / SECOND))
  const [h, m, s] = [Math.floor(all / 3600), Math.floor(all / 60) % 60, all % 60]
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`
}

/** 0.31 → 0.3 ms, 1240 → 1.2 s, 75000 → 1 min 15 s, 7500000 → 2 h 5 min. */
export function duration(ms: number): string {
  if (ms < 10) return `${Math.round(ms * 10) / 10} ms`
  if (ms < SECOND) return `${Math.round(ms)} ms`
  if (ms < 10 * SECOND) return `${Math.floor(ms / 100) / 10} s`
  if (ms < MINUTE) return `${Math.floor(ms / SECOND)} s`
  if (ms < HOUR) {
    const s = Math.floor((ms % MINUTE) / SECOND)
    return `${Math.floor(ms / MINUTE)} min${s ? ` ${s} s` : ''}`
  }
  if (ms < DAY) {
    const m = Math.floor((ms % HOUR) / MINUTE)
    return `${Math.floor(ms / HOUR)} h${m ? ` ${m} min` : ''}`
  }
  return many(Math.floor(ms / DAY), 'day')
}

/** How long ago, as roughly as people say it: 40 s, 4 min, 2 h, 3 days. */
export function age(ms: number): string {
  if (ms < MINUTE) return `${Math.max(0, Math.floor(ms / SECOND))} s`
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} min`
  if (ms < DAY) return `${Math.floor(ms / HOUR)} h`
  return many(Math.floor(ms / DAY), 'day')
}

/** 09:14, and with seconds 09:14:05. */
export function clock(at: string | number, seconds = false): string {
  const d = new Date(at)
  return `${two(d.getHours())}:${two(d.getMinutes())}${seconds ? `:${two(d.getSeconds())}` : ''}`
}

/** 20 Nov 18:22, with the year where it is another one. */
export function dateAndClock(at: string | number, now: number): string {
  const d = new Date(at)
  const year = d.getFullYear() === new Date(now).getFullYear() ? '' : ` ${d.getFullYear()}`
  return `${d.getDate()} ${MONTHS[d.getMonth()]}${year} ${clock(at)}`
}

/** Short for a list: 18:22 today, Tue within a week, else 20 Nov. */
export function shortWhen(at: string | number, now: number): string {
  const d = new Date(at)
  if (sameDay(d, new Date(now))) return clock(at)
  const age = now - d.getTime()
  if (age >= 0 && age < 6 * DAY) return DAYS[d.getDay()]!
  const year = d.getFullYear() === new Date(now).getFullYear() ? '' : ` ${d.getFullYear()}`
  return `${d.getDate()} ${MONTHS[d.getMonth()]}${year}`
}

/** Whether an instant is on the local day of `now`. */
export function isToday(at: string | number, now: number): boolean {
  return sameDay(new Date(at), new Date(now))
}

function sameDay(a: Date, b: Date): boolean {
  return a.getFullYear() === b.getFullYear() && a.getMonth() === b.getMonth() && a.getDate() === b.getDate()
}
