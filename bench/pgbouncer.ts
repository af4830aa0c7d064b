import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { freePort, unprivileged } from '../demo/postgres.ts'
import type { World } from '../demo/world.ts'

/** Something that speaks PostgreSQL's protocol and has a database `orders`. */
export interface Target {
  name: string
  host: string
  port: number
  user: string
  password: string
}

/** Starts pgbouncer, pooling by session, before the world's database; it ends with the stack. */
export async function startPgbouncer(
  binary: string,
  world: World,
  folder: string,
  stack: AsyncDisposableStack,
): Promise<Target & { pid: number }> {
  const port = await freePort()
  const config = join(folder, 'pgbouncer.ini')
  writeFileSync(
    config,
    `[databases]
orders = host=127.0.0.1 port=${world.database.port} user=app_rw password=app_rw
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = session
default_pool_size = 900
max_client_conn = 1000
logfile = /dev/null
`,
  )
  const account = unprivileged()
  if (account) chownSync(config, account.uid, account.gid)
  const child: ChildProcess = spawn(binary, [config], { ...account, stdio: 'ignore' })
  stack.defer(async () => {
    child.kill('SIGTERM')
    if (child.exitCode === null) await once(child, 'exit')
  })
  for (;;) {
    if (child.exitCode !== null) throw new Error('pgbouncer did not start')
    const socket = connect(port, '127.0.0.1')
    const up = await new Promise<boolean>((resolve) =>
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false)),
    )
    socket.destroy()
    if (up) return { name: 'pgbouncer', host: '127.0.0.1', port, user: 'bench', password: 'bench', pid: child.pid! }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
