/**
 * The password of a session, as every ZooKeeper makes it: sixteen bytes of
 * `java.util.Random`, seeded with the session's id. No secret, but what other
 * servers and their clients would see.
 */

const mask = (1n << 48n) - 1n
const seedSecret = 0xb3415c00n
const multiplier = 0x5deece66dn

export const passwordOf = (sessionId: bigint): Uint8Array => {
  let state = (BigInt.asUintN(64, sessionId) ^ seedSecret ^ multiplier) & mask
  const password = new Uint8Array(16)
  const view = new DataView(password.buffer)
  for (let at = 0; at < 16; at += 4) {
    state = state * multiplier + 0xbn & mask
    view.setInt32(at, Number(BigInt.asIntN(32, state >> 16n)), true)
  }
  return password
}

export const isPasswordOf = (sessionId: bigint, password: Uint8Array): boolean =>
  password.length === 16 && passwordOf(sessionId).every((byte, index) => byte === password[index])
