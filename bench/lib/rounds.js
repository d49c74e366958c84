/** Goes round over all for so many rounds, each round from another one on: what drifts falls on all alike. */
export async function goRound (all, rounds, visit) {
  for (let round = 0; round < rounds; round++) {
    const first = round % all.length
    for (const one of [...all.slice(first), ...all.slice(0, first)]) await visit(one, round)
  }
}
