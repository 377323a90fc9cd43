/*
 * Sound that is late is heard, other work that is late is not: the thread that moves sound comes first.
 */
#pragma once

/*
 * Raises the calling thread's priority, by right or by asking the desktop's RealtimeKit for it; does not wait for the
 * answer, and where it is refused, nothing changes. The thread has a GMainContext as its thread default.
 */
void audio_raise_priority(void);
