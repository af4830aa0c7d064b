import type { CampaignItem } from '@countersign/contract/review'
import { useState } from 'react'
import { usePeople } from '../../app/agents.ts'
import { core, say } from '../../app/store.ts'
import { Chooser } from '../../parts/chooser.tsx'
import { Reasoned } from '../../parts/reasoned.tsx'
import { VisibleText } from '../../parts/visible-text.tsx'
import { titleOf } from './words.ts'

/** Gives an item to somebody else: reassigned for good, or delegated, by which they act in one’s place. */
export function MoveDialog({ item, onClose }: { item: CampaignItem; onClose: () => void }) {
  const people = usePeople()
  const [kind, setKind] = useState<'reassign' | 'delegate'>('reassign')
  const [to, setTo] = useState('')
  return (
    <Reasoned
      title={
        <>
          Who decides <VisibleText>{titleOf(item)}</VisibleText>?
        </>
      }
      description={
        kind === 'reassign'
          ? 'It becomes theirs, and is no longer yours.'
          : 'They decide in your place; the record says for whom.'
      }
      action={kind === 'reassign' ? 'Reassign' : 'Delegate'}
      doing="Asking the gateway…"
      placeholder="Why they rather than you; kept with the item"
      ready={to !== ''}
      onClose={onClose}
      onReason={async (reason) => {
        await core().call('moveItem', { campaign: item.campaign, item: item.id, kind, to, reason })
        say(kind === 'reassign' ? 'Reassigned' : 'Delegated')
      }}
    >
      <fieldset className="mt-3 flex gap-4">
        <legend className="sr-only">How</legend>
        {(['reassign', 'delegate'] as const).map((each) => (
          <label key={each} className="flex items-center gap-2">
            <input type="radio" name="how" checked={kind === each} onChange={() => setKind(each)} />
            {each === 'reassign' ? 'Reassign for good' : 'Delegate'}
          </label>
        ))}
      </fieldset>
      <div className="mt-3">
        <Chooser
          label="To"
          placeholder="Name or e-mail"
          value={to}
          onChange={setTo}
          other={(typed) => typed.length > 2}
          choices={(people.value?.items ?? []).map((person) => ({
            value: person.id,
            label: person.name,
            words: `${person.subject} ${person.groups.join(' ')}`,
          }))}
        />
      </div>
    </Reasoned>
  )
}
