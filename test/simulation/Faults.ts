/**
 * Which faults a run has, and how many: every seed draws its own mix, so that
 * some runs have hardly any and some have all.
 */
import type { Randomness } from "./Randomness.ts"

export interface Faults {
  /** In ms: how long a frame is on its way at least, and on average beyond that. */
  readonly latency: { readonly least: number; readonly mean: number }
  /** Probabilities for each frame. */
  readonly frame: {
    /** The link is cut before a request arrives: it has no effect. */
    readonly cutBefore: number
    /** The link is cut behind a request: it has its effect, and its reply is lost. */
    readonly loseReply: number
    /** The link is cut before a reply or an event is delivered. */
    readonly cutReply: number
    /** The link is cut inside a frame of the server. */
    readonly truncate: number
    /** From here on one direction, or both, goes nowhere, and nobody is told. */
    readonly halfOpen: number
    /** A reply takes long, nothing that is sent behind it arrives, and then no member is in reach. */
    readonly slowDeath: number
    /** A frame, and all behind it, takes much longer. */
    readonly hold: number
    /** A reply comes twice. */
    readonly duplicate: number
    /** Of lost replies: no member is in reach behind it, for about as long as a session lives. */
    readonly blackout: number
  }
  /** Probabilities for each attempt to connect. */
  readonly dial: { readonly refuse: number; readonly ignore: number }
  /** Whether frames come in pieces, and several at a time. */
  readonly splits: boolean
  /** In ms: pauses between faults of one kind, on average; `Infinity` for none. */
  readonly every: {
    readonly kill: number
    readonly isolate: number
    /** A member hangs up behind each handshake for a while. */
    readonly hangUp: number
    /** A member accepts and stays mute for a while. */
    readonly mute: number
    /** No member is in reach for a while. */
    readonly outage: number
    readonly stall: number
    readonly suspend: number
    readonly wallClock: number
  }
  /** In ms: followers are behind by up to this. */
  readonly lag: number
  readonly members: number
  /** In ms. */
  readonly sessionTimeout: number
  readonly tickTime: number
}

export const none: Omit<Faults, "members" | "sessionTimeout" | "tickTime"> = {
  latency: { least: 0.2, mean: 0.3 },
  frame: { cutBefore: 0, loseReply: 0, cutReply: 0, truncate: 0, halfOpen: 0, slowDeath: 0, hold: 0, duplicate: 0, blackout: 0 },
  dial: { refuse: 0, ignore: 0 },
  splits: false,
  every: {
    kill: Infinity,
    isolate: Infinity,
    hangUp: Infinity,
    mute: Infinity,
    outage: Infinity,
    stall: Infinity,
    suspend: Infinity,
    wallClock: Infinity
  },
  lag: 0
}

export const draw = (randomness: Randomness): Faults => {
  // How much there is of everything in this run.
  const intensity = randomness.pick([0.3, 1, 1, 3])
  const rate = (most: number): number => randomness.chance(0.5) ? randomness.nextDoubleUnsafe() * most * intensity : 0
  const every = (least: number): number =>
    randomness.chance(0.4) ? least * randomness.between(1, 4) / intensity : Infinity
  const members = randomness.pick([1, 2, 3])
  // A wall clock that is set hides that a machine slept: one or the other, or nothing could be said about either.
  const clock = randomness.pick(["suspend", "wallClock", "none"])
  return {
    latency: { least: randomness.pick([0.1, 1, 5]), mean: randomness.pick([0.2, 1, 5, 40]) },
    frame: {
      cutBefore: rate(0.02),
      loseReply: rate(0.03),
      cutReply: rate(0.02),
      truncate: rate(0.01),
      halfOpen: rate(0.008),
      slowDeath: rate(0.02),
      hold: rate(0.02),
      duplicate: rate(0.008),
      blackout: rate(0.4)
    },
    dial: { refuse: rate(0.4), ignore: rate(0.2) },
    splits: randomness.chance(0.4),
    every: {
      kill: every(6000),
      isolate: members > 1 ? every(6000) : Infinity,
      hangUp: every(8000),
      mute: every(8000),
      outage: every(8000),
      stall: every(4000),
      suspend: clock === "suspend" ? every(6000) : Infinity,
      wallClock: clock === "wallClock" ? every(4000) : Infinity
    },
    lag: randomness.chance(0.6) ? randomness.pick([50, 500, 2000]) : 0,
    members,
    sessionTimeout: randomness.pick([2000, 4000, 6000]),
    tickTime: randomness.pick([50, 200, 500])
  }
}
