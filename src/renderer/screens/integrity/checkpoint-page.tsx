import { useEffect, useState } from 'react'
import type { SeenCheckpoint } from '../../../witness-api.ts'
import { wordsOf } from '../../app/api.ts'
import { hostOf } from '../../app/header.tsx'
import { core } from '../../app/store.ts'
import { CopyButton } from '../../parts/basics.tsx'
import { useNow } from '../../parts/clock.ts'
import { dateAndClock } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { Facts, Page, Section, SignedNote } from './parts.tsx'
import { entries, howWords } from './words.ts'

const proofs: Record<SeenCheckpoint['state'], string> = {
  proven: 'the newest checkpoint was proven to continue it',
  pending: 'not yet: the gateway is asked for the hashes once there is a link',
  conflict: 'the newest checkpoint was proven not to continue it',
}

/** One checkpoint that this desktop has seen, verbatim. */
export function CheckpointPage({ seen }: { seen: SeenCheckpoint }) {
  const now = useNow()
  const [note, setNote] = useState('')
  const [problem, setProblem] = useState('')
  const { log, size, root } = seen
  useEffect(() => {
    let gone = false
    setNote('')
    setProblem('')
    core()
      .call('checkpointNote', { log, size, root })
      .then(
        (found) => gone || setNote(found.note),
        (error) => gone || setProblem(wordsOf(error)),
      )
    return () => {
      gone = true
    }
  }, [log, size, root])
  return (
    <Page label={`Checkpoint of ${entries(size)}`}>
      <h2 className="text-title font-semibold">
        {entries(size)} <span className="text-body font-normal text-dim">of</span>{' '}
        <VisibleText>{seen.origin}</VisibleText>
      </h2>
      <Facts
        facts={[
          [
            'Seen',
            <VisibleText key="seen">{`${dateAndClock(seen.seenAt, now)}, ${howWords[seen.how]}, ${hostOf(seen.from)}`}</VisibleText>,
          ],
          [
            'Proven',
            <span key="proven" className={seen.state === 'conflict' ? 'font-semibold text-danger' : ''}>
              {proofs[seen.state]}
            </span>,
          ],
          [
            'Root',
            <code key="root" className="text-fine break-all">
              {root}
            </code>,
          ],
          [
            'Signed by',
            <code key="signed" className="text-fine break-all">
              {seen.signedBy.join(', ') || 'nobody'}
            </code>,
          ],
          [
            'Cosigned by',
            seen.cosignedBy.length > 0 ? (
              <VisibleText key="cosigned">{seen.cosignedBy.join(', ')}</VisibleText>
            ) : (
              <span key="cosigned" className="text-dim">
                nobody whose key is known
              </span>
            ),
          ],
        ]}
      />
      <Section title="As it was signed" aside={note ? <CopyButton text={note} label="Copy the signed note" /> : null}>
        {problem ? (
          <p role="alert" className="text-dim">
            {problem}
          </p>
        ) : (
          <SignedNote label={'The signed note'} note={note} />
        )}
      </Section>
    </Page>
  )
}
