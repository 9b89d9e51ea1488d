package verify

import (
	"maps"
	"slices"
)

// match assigns to as many authorities as possible a signer of their own, and
// returns the assignment in the order of the authorities; satisfied holds, for
// each of them, who satisfies it, by who it is. One signer never counts for two
// authorities, and two signatures by one signer are one signer: the number of
// satisfied authorities is a maximum matching between authorities and signers
// (Kuhn's algorithm; at most MaxAuthorities × MaxSignatures edges). Which of the
// possible assignments it is depends on the order of the authorities and on
// neither that of their keys and identities nor that of the signatures, as
// [Policy.Hash] promises.
func match(satisfied []map[string]Signer) []Signer {
	authorityOf := map[string]int{} // by the signer's id
	var assign func(authority int, tried map[string]bool) bool
	assign = func(authority int, tried map[string]bool) bool {
		for _, signer := range slices.Sorted(maps.Keys(satisfied[authority])) {
			if tried[signer] {
				continue
			}
			tried[signer] = true
			holder, held := authorityOf[signer]
			if !held || assign(holder, tried) {
				authorityOf[signer] = authority
				return true
			}
		}
		return false
	}
	for i := range satisfied {
		assign(i, map[string]bool{})
	}

	signerOf := map[int]string{}
	for signer, authority := range authorityOf {
		signerOf[authority] = signer
	}
	var signers []Signer
	for i := range satisfied {
		if signer, ok := signerOf[i]; ok {
			signers = append(signers, satisfied[i][signer])
		}
	}
	return signers
}
