import { Me, SignIn } from '@countersign/contract/identity'
import type { Command } from 'commander'
import { addressIn, type Context, caIn, gatewayIn, runs } from '../context.ts'
import { createGateway, getOpenly } from '../gateway/gateway.ts'
import { createSender } from '../gateway/request.ts'
import { print } from '../show/print.ts'
import { locked } from '../sign-in/lock.ts'
import { moment, shown } from '../terminal/text.ts'

/** login, logout, whoami. */
export function loginCommands(program: Command): void {
  program
    .command('login')
    .description('sign in to a gateway, in the browser or by a code on another device')
    .option('--device', 'with a code that is entered on another device (RFC 8628)')
    .option('--no-browser', 'print the address, and open nothing')
    .addHelpText('after', '\nexample: countersign login --gateway https://gw.example.com')
    .action(runs(login))
  program.command('logout').description('forget the sign-in, and tell the issuer').action(runs(logout))
  program.command('whoami').description('who the gateway takes me for').action(runs(whoami))
}

async function login(context: Context, options: { device?: boolean; browser: boolean }): Promise<undefined> {
  const { env, terminal, kept } = context
  const base = addressIn(context)
  const ca = caIn(context, base)
  const how = await getOpenly(createSender(base, ca), SignIn, '/v1/sign-in')
  const { signIn } = await import('../sign-in/sign-in.ts')
  const { device, browser } = options
  const tokens = await signIn(how, { device, printOnly: !browser }, env, terminal)
  const once = { kind: 'person' as const, token: async () => tokens.access, renew: () => {} }
  const me = await createGateway(base, ca, once).get(Me, '/v1/me')
  await locked(kept.lockOf(base.origin), async () =>
    kept.write(
      {
        gateway: base.origin,
        ...(ca === undefined ? {} : { ca }),
        signIn: how,
        person: { id: me.id, name: me.name },
        tokens,
      },
      { current: true },
    ),
  )
  print(context, me, () => meText(me, base))
}

async function logout(context: Context): Promise<undefined> {
  const { kept, terminal } = context
  const { origin } = addressIn(context)
  // Forgotten first: whatever the issuer says, this machine is signed out. Locked: who renews it now would keep it anew.
  const before = await locked(kept.lockOf(origin), async () => {
    const found = kept.read(origin)
    return kept.remove(origin) ? { found } : undefined
  })
  if (!before) return void terminal.say(`you were not signed in to ${origin}`)
  if (before.found?.tokens.refresh !== undefined) {
    const { reasonOf, revoke } = await import('../sign-in/issuer.ts')
    await revoke(before.found.signIn, before.found.tokens.refresh).catch((error) =>
      terminal.say(`the issuer could not be told (${reasonOf(error)}): its session may go on`),
    )
  }
  terminal.say(`signed out of ${origin}`)
}

async function whoami(context: Context): Promise<undefined> {
  const gateway = gatewayIn(context)
  const me = await gateway.get(Me, '/v1/me')
  print(context, me, () => meText(me, gateway.base))
}

function meText(me: Me, base: URL): string[] {
  const as =
    me.kind === 'agent'
      ? `an agent${me.onBehalfOf === undefined ? '' : ` on behalf of ${me.onBehalfOf}`}`
      : me.roles.length > 0
        ? me.roles.join(', ')
        : 'no role'
  return [
    `${shown(me.name)} (${shown(me.id)}), ${shown(as)}, at ${base.origin}`,
    `groups ${me.groups.length > 0 ? me.groups.map(shown).join(', ') : 'none'}; this token holds until ${moment(me.expiresAt)}`,
  ]
}
