/**
 * Why a request is not done: the error code of its reply. Thrown, and no
 * `Error`: a refusal is an ordinary answer, and a stack would cost more than
 * the request.
 */
export class Refusal {
  readonly code: number

  constructor(code: number) {
    this.code = code
  }
}
