/**
 * One after another: what is asked of a lane begins when what was asked before has ended, whatever came of it. So what a
 * transaction has written and what is kept in memory of it change together.
 */
export function createLane(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve()
  return (work) => {
    const next = last.then(work)
    last = next.catch(() => {})
    return next
  }
}
