/**
 * What the desktop shell may be started with: --NAME=VALUE as the browser shell has it, --countersign-NAME=VALUE where
 * a launcher adds switches of its own, or the environment.
 */
export interface Arguments {
  gateway?: string
  /** File of a certificate (PEM) to trust. */
  ca?: string
  folder?: string
  /** Signs in at the start by $BROWSER, as the sample world does. */
  signIn: boolean
}

export function readArguments(argv: readonly string[], env: NodeJS.ProcessEnv): Arguments {
  const given = (name: string) => {
    for (const start of [`--countersign-${name}=`, `--${name}=`]) {
      const word = argv.find((word) => word.startsWith(start))
      if (word) return word.slice(start.length)
    }
    return undefined
  }
  const gateway = given('gateway') ?? env.COUNTERSIGN_GATEWAY
  const ca = given('ca') ?? env.COUNTERSIGN_CA
  const folder = given('folder') ?? env.COUNTERSIGN_FOLDER
  return {
    ...(gateway ? { gateway } : {}),
    ...(ca ? { ca } : {}),
    ...(folder ? { folder } : {}),
    signIn: argv.includes('--countersign-sign-in') || argv.includes('--sign-in'),
  }
}
