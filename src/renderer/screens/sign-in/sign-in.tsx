import { useState } from 'react'
import { wordsOf } from '../../app/api.ts'
import { hostOf, Mark } from '../../app/header.tsx'
import { core, useWorld } from '../../app/store.ts'
import { Button } from '../../parts/basics.tsx'

/** Which gateway, and then the organisation's own sign-in, in the browser. */
export function SignIn() {
  const link = useWorld((world) => world.link)
  const saved = useWorld((world) => world.settings.gateway)
  const [gateway, setGateway] = useState(link.gateway ?? saved ?? '')
  const [problem, setProblem] = useState('')
  const waiting = link.state === 'signing-in'
  const trouble = problem || (link.state === 'signed-out' ? (link.problem ?? '') : '')

  const signIn = async () => {
    const url = addressOf(gateway)
    if (!url) {
      setProblem('That is no address of a gateway. It looks like https://gateway.example.com')
      return
    }
    setProblem('')
    try {
      await core().call('signIn', { gateway: url })
    } catch (error) {
      setProblem(wordsOf(error))
    }
  }
  return (
    <main className="grid h-full place-items-center p-6">
      <div className="w-full max-w-[380px] rounded-box border border-line bg-panel p-8 shadow-box">
        <h1 className="mb-1 flex items-center gap-2.5 text-title font-semibold">
          <Mark size={20} /> Countersign
        </h1>
        {waiting ? (
          <div role="status" className="mt-4 flex flex-col gap-4">
            <p>
              Finish signing in to <b className="font-semibold">{hostOf(link.gateway)}</b> in the browser window that
              has opened. This page goes on by itself.
            </p>
            <p className="text-dim">No window? Take it back and try again.</p>
            <Button onClick={() => void core().call('signOut', {})}>Take it back</Button>
          </div>
        ) : (
          <form
            className="mt-4 flex flex-col gap-4"
            onSubmit={(event) => {
              event.preventDefault()
              void signIn()
            }}
          >
            <p className="text-dim">Sign in to decide what is held, and to see what agents did.</p>
            <label className="flex flex-col gap-1.5">
              <span className="font-semibold">Gateway</span>
              <input
                value={gateway}
                onChange={(event) => setGateway(event.target.value)}
                placeholder="https://gateway.example.com"
                inputMode="url"
                spellCheck={false}
                autoComplete="url"
                aria-invalid={problem !== ''}
                aria-describedby={trouble ? 'sign-in-trouble' : undefined}
                className="h-9 rounded-box border border-line-strong bg-panel px-3 font-mono"
              />
            </label>
            {trouble ? (
              <p
                id="sign-in-trouble"
                role="alert"
                className={`rounded-box px-3 py-2 ${problem ? 'bg-danger-pale text-danger' : 'bg-warn-pale text-warn'}`}
              >
                {trouble}
              </p>
            ) : null}
            <Button type="submit" tone="accent">
              Sign in
            </Button>
            <p className="text-fine text-dim">
              Your organisation’s own sign-in opens in the browser. Countersign never sees your password.
            </p>
          </form>
        )}
      </div>
    </main>
  )
}

/** A gateway's address as it was meant: https where nothing is said, http for this machine. */
export function addressOf(text: string): string | undefined {
  const given = text.trim()
  if (given === '') return undefined
  const local = /^(localhost|127\.|\[::1\])/.test(given)
  try {
    const url = new URL(/^[a-z]+:\/\//i.test(given) ? given : `${local ? 'http' : 'https'}://${given}`)
    return /^https?:$/.test(url.protocol) ? url.origin : undefined
  } catch {
    return undefined
  }
}
