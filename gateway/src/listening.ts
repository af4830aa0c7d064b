import { formatListen, type ListenAddress } from './config/address.ts'
import { StartError } from './start-error.ts'

/** Says in words which listener can't have its address, and why. */
export async function listening<T>(
  name: string,
  address: ListenAddress,
  start: (address: ListenAddress) => Promise<T>,
): Promise<T> {
  try {
    return await start(address)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const because = {
      EADDRINUSE: 'another program listens there: stop it, or choose another port',
      EACCES: 'this user may not listen there: choose a port above 1023',
      EADDRNOTAVAIL: "this machine doesn't have that address: choose one that it has",
      ENOTFOUND: 'that name is not known: write an address',
    }[code ?? '']
    if (because === undefined) throw error
    throw new StartError(`${name} can't listen on ${formatListen(address)}: ${because}`, [], { cause: error })
  }
}
