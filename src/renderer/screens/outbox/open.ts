import { create } from 'zustand'

/** Whether what waits to be sent is shown: the footer, a note and the palette open it. */
export const useOutboxOpen = create<{ open: boolean }>()(() => ({ open: false }))

export function showOutbox(open = true) {
  useOutboxOpen.setState({ open })
}
