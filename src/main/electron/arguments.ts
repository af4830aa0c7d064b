/** What the desktop shell may be started with: --countersign-NAME=VALUE, or the environment. */
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
    const start = `--countersign-${name}=`
    return argv.find((word) => word.startsWith(start))?.slice(start.length)
  }
  const gateway = given('gateway') ?? env.COUNTERSIGN_GATEWAY
  const ca = given('ca') ?? env.COUNTERSIGN_CA
  const folder = given('folder') ?? env.COUNTERSIGN_FOLDER
  return {
    ...(gateway ? { gateway } : {}),
    ...(ca ? { ca } : {}),
    ...(folder ? { folder } : {}),
    signIn: argv.includes('--countersign-sign-in'),
  }
}
