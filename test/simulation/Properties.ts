/**
 * Properties that hold for every client, whatever it is used for: what its wire
 * shows, and what it believes about its session.
 */
import * as Redacted from "effect/Redacted"
import { OpCode } from "../../src/jute/OpCode.ts"
import * as Protocol from "../../src/jute/Protocol.ts"
import type { Participant, Run } from "./Simulation.ts"
import * as Wire from "./Wire.ts"

const hex = (session: bigint): string => session.toString(16)

export const checkWire = (run: Run, participant: Participant): void => {
  const { index, tap } = participant
  const report = (property: string, detail: string) => run.violation(property, `client${index}: ${detail}`)
  let session = 0n
  let password: Uint8Array | undefined
  let lastZxid = 0n
  let relative = 0n
  let isGreeted = false
  let isResumed = false
  let hasAsked = false
  let armed: number | undefined
  let xids = new Set<number>()
  let pending: Array<number> = []
  let lastXid = 0
  let hasIdentity = false
  let isIdentified = false
  for (const seen of tap.seen) {
    switch (seen._tag) {
      case "Began":
        hasIdentity = seen.options.auth !== undefined
        session = seen.resumed?.id ?? 0n
        password = seen.resumed === undefined ? undefined : Redacted.value(seen.resumed.password)
        lastZxid = seen.resumed?.lastZxid ?? 0n
        lastXid = 0
        break
      case "Dialled":
        isGreeted = false
        hasAsked = false
        isIdentified = false
        armed = undefined
        xids = new Set()
        pending = []
        break
      case "Greeting": {
        const { lastZxidSeen, passwd, sessionId } = seen.request
        relative = lastZxidSeen
        if (sessionId === 0n) {
          session = 0n
          lastZxid = 0n
        } else if (sessionId !== session) {
          report("session", `asks for session ${hex(sessionId)} and had ${hex(session)}`)
        } else if (password !== undefined && !passwd.every((byte, at) => byte === password?.[at])) {
          report("session", "asks for its session with another password")
        }
        if (lastZxidSeen !== lastZxid) {
          report("S2", `shows zxid ${lastZxidSeen} in its handshake and was told ${lastZxid}`)
        }
        break
      }
      case "Greeted": {
        const { passwd, sessionId, timeOut } = seen.response
        isGreeted = timeOut > 0
        isResumed = isGreeted && sessionId === session && session !== 0n
        if (isGreeted) {
          if (sessionId !== session) lastZxid = 0n
          session = sessionId
          password = passwd
        } else {
          session = 0n
        }
        break
      }
      case "Sent": {
        const { opCode, xid } = seen.request
        if (!isGreeted) report("session", "sends before the handshake is answered")
        if (xid === Protocol.Xid.Auth) isIdentified = true
        else if (hasIdentity && !isIdentified) report("session", `asks for op ${opCode} before it has said who it is`)
        if (xid > 0) {
          if (xids.has(xid)) report("S6", `uses xid ${xid} twice at a time`)
          if (xid <= lastXid) report("S6", `uses xid ${xid} after ${lastXid}`)
          lastXid = xid
          xids.add(xid)
          pending.push(xid)
        }
        if (Wire.isSetWatches(opCode)) {
          armed = xid
          if (hasAsked && isResumed) report("W5", "arms its watches after it has asked for something else")
          const zxid = Wire.relativeZxidIn(seen.frame)
          if (zxid !== relative) report("W5", `arms its watches relative to ${zxid}, and ${relative} was the last before`)
        } else if (xid > 0) {
          hasAsked = true
        }
        break
      }
      case "Told": {
        const { reply } = seen
        if (reply._tag === "Notification" || reply.xid <= 0) break
        pending.shift()
        xids.delete(reply.xid)
        if (reply.zxid > lastZxid) lastZxid = reply.zxid
        if (reply.xid === armed) armed = undefined
        break
      }
      case "Left":
      case "Ended":
        break
    }
  }
  checkAttempts(run, participant, report)
  checkHangingUp(run, participant, report)
  checkBelief(run, participant, report)
  checkAnnouncements(participant, report)
}

type Report = (property: string, detail: string) => void

/** Rounds over all members without success are further and further apart. */
const checkAttempts = (run: Run, { tap }: Participant, report: Report): void => {
  const members = run.faults.members
  let dials: Array<number> = []
  let session = 0n
  let lastHost = -1
  let endedAt = -1
  for (const seen of tap.seen) {
    if (seen._tag === "Greeting") {
      // A session that was given up is where rounds begin anew.
      if (seen.request.sessionId !== session) dials = dials.slice(-1)
      session = seen.request.sessionId
    }
    if (seen._tag === "Ended") endedAt = seen.at
    if (seen._tag === "Dialled") {
      // A server that stays mute is asked at once whether it speaks TLS.
      const isProbe = seen.host === lastHost && seen.at === endedAt
      lastHost = seen.host
      endedAt = -1
      if (isProbe) continue
      dials.push(seen.at)
      // One round is given: where it begins in the list is the client's affair.
      const rounds = Math.floor((dials.length - 1) / members) - 1
      let least = 0
      for (let round = 0; round < rounds; round++) least += 0.8 * Math.min(100 * 2 ** round, 5000, run.faults.sessionTimeout / 3)
      const took = seen.at - (dials[0] ?? 0)
      if (took < least) {
        return report("V3", `dials ${dials.length} times within ${Math.round(took)} ms and without an answer, at ${seen.at} ms`)
      }
    } else if (
      seen._tag === "Began" || seen._tag === "Told" && seen.reply._tag === "Answer"
      || seen._tag === "Greeted" && seen.response.timeOut <= 0
    ) dials = []
  }
}

/** A connection that serves is kept. */
const checkHangingUp = (run: Run, { tap }: Participant, report: Report): void => {
  const timeout = run.faults.sessionTimeout
  // A wall clock that was set looks like a machine that slept.
  if (run.faults.every.wallClock !== Infinity) return
  let isLimited = false
  let isClosing = false
  let proven = -Infinity
  let greeted = -Infinity
  let asked: Array<{ readonly xid: number; readonly at: number }> = []
  for (const seen of tap.seen) {
    if (seen._tag === "Greeting") greeted = seen.at
    if (seen._tag === "Began") isLimited = seen.options.requestTimeout !== undefined
    if (seen._tag === "Left") isClosing = true
    if (seen._tag === "Dialled") {
      isClosing = false
      proven = -Infinity
      asked = []
    }
    if (seen._tag === "Sent") {
      asked.push({ xid: seen.request.xid, at: seen.at })
      isClosing ||= seen.request.opCode === OpCode.CloseSession
    }
    if (seen._tag === "Told" && seen.reply._tag === "Answer") {
      const { xid } = seen.reply
      const at = asked.findIndex((each) => each.xid === xid)
      const askedAt = asked[at]?.at ?? proven
      // What was asked behind the session's deadline, or nearly, may prove nothing: the connection is given up for it.
      if (askedAt - Math.max(greeted, proven) < 0.75 * timeout) proven = askedAt
      asked.splice(0, at + 1)
    }
    if (seen._tag !== "Ended" || !seen.byClient || isClosing || isLimited || tap.corrupted.has(seen.link)) continue
    if (seen.at - proven < timeout / 3) {
      report("V1", `hangs up connection ${seen.link} at ${seen.at} ms, which answered what was asked at ${proven} ms`)
    }
  }
}

/** Whoever is told that its session is alive must not find it expired at that time: by the clock alone. */
const checkBelief = (run: Run, { beliefs }: Participant, report: Report): void => {
  const { every } = run.faults
  // A follower that is cut off answers pings.
  if (every.isolate !== Infinity) return
  const expired = new Map(
    run.ensemble.ended.filter(({ how }) => how === "expired").map(({ at, session }) => [session, at] as const)
  )
  for (const { at, isAlive, session } of beliefs) {
    const end = expired.get(session)
    if (isAlive && end !== undefined && at > end) {
      return report("session", `believes in session ${hex(session)} at ${at} ms, which expired at ${end} ms`)
    }
  }
}

/** Connected is what a client is once its watches are armed: nothing is armed any more behind that. */
const checkAnnouncements = ({ states, tap }: Participant, report: Report): void => {
  for (const { link, seen, state } of states) {
    if (state._tag !== "Connected") continue
    for (let at = 0; at < tap.seen.length; at++) {
      const each = tap.seen[at]
      if (each === undefined || each.link !== link) continue
      if (each._tag === "Sent" && Wire.isSetWatches(each.request.opCode)) {
        const { xid } = each.request
        const answered = tap.seen.findIndex((other) =>
          other._tag === "Told" && other.link === link && other.reply._tag === "Answer" && other.reply.xid === xid
        )
        if (answered < 0 || answered >= seen) {
          return report("session", `says that it is connected before its watches are armed on connection ${link}`)
        }
      }
    }
  }
}
