import { VisibleText } from './visible-text.tsx'

/** An agent and where it works, for a list. The arrow of the letters for machines is too small to be seen beside them. */
export function AgentOn({ agent, connection }: { agent: string; connection: string }) {
  return (
    <>
      <VisibleText>{agent}</VisibleText> <span className="font-sans">→</span> <VisibleText>{connection}</VisibleText>
    </>
  )
}
