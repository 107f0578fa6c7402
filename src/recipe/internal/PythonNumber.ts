/**
 * Numbers as Python writes (`repr`) and reads (`int`, `float`) them: the data
 * of kazoo's counters.
 */

/** Whole numbers of any size; Python allows white space around and underscores between digits. */
const integer = /^\s*([+-]?)(\d+(?:_\d+)*)\s*$/

/** What `int(text)` returns, `undefined` where it raises. */
export const parseInteger = (text: string): bigint | undefined => {
  const [, sign, digits] = integer.exec(text) ?? []
  if (digits === undefined) return undefined
  const value = BigInt(digits.replaceAll("_", ""))
  return sign === "-" ? -value : value
}

const digits = "\\d+(?:_\\d+)*"
const float = new RegExp(`^\\s*([+-]?)(${digits}(?:\\.(?:${digits})?)?|\\.${digits})(e[+-]?${digits})?\\s*$`, "i")
const special = /^\s*([+-]?)(inf|infinity|nan)\s*$/i

/** What `float(text)` returns, `undefined` where it raises. */
export const parseFloat = (text: string): number | undefined => {
  if (float.test(text)) return Number(text.trim().replaceAll("_", ""))
  const [, sign, name] = special.exec(text) ?? []
  if (name === undefined) return undefined
  if (name.toLowerCase() === "nan") return Number.NaN
  return sign === "-" ? -Infinity : Infinity
}

/** `repr(value)`: the same shortest digits as JavaScript's, set differently. */
export const showFloat = (value: number): string => {
  if (Number.isNaN(value)) return "nan"
  if (!Number.isFinite(value)) return value < 0 ? "-inf" : "inf"
  const sign = value < 0 || Object.is(value, -0) ? "-" : ""
  const [mantissa = "0", power = "0"] = Math.abs(value).toExponential().split("e")
  const shortest = mantissa.replace(".", "")
  const exponent = Number(power)
  if (exponent < -4 || exponent >= 16) {
    const size = String(Math.abs(exponent)).padStart(2, "0")
    return `${sign}${mantissa}e${exponent < 0 ? "-" : "+"}${size}`
  }
  if (exponent < 0) return `${sign}0.${"0".repeat(-exponent - 1)}${shortest}`
  const whole = shortest.slice(0, exponent + 1).padEnd(exponent + 1, "0")
  return `${sign}${whole}.${shortest.slice(exponent + 1) || "0"}`
}
