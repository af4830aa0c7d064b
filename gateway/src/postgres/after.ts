/**
 * Goes on with a value: at once where it is there, else when it has come. Most commands wait for nothing, and a promise
 * for each step of each of them is what they would mostly cost.
 */
export function after<A, B>(value: A | Promise<A>, next: (value: A) => B | Promise<B>): B | Promise<B> {
  return value instanceof Promise ? value.then(next) : next(value)
}
