package verify

// match assigns to as many authorities as possible a signer of their own, and
// returns the assignment in the order of the authorities. One signer never
// counts for two authorities, and two signatures by one signer are one signer:
// the number of satisfied authorities is a maximum matching between authorities
// and keys that signed (Kuhn's algorithm; at most MaxAuthorities × MaxKeys
// edges). Which of the possible assignments it is depends on the order of the
// authorities and on neither that of their keys nor that of the signatures, as
// [Policy.Hash] promises.
func (j *judgement) match() []Signer {
	authorityOf := map[string]int{} // by the key's fingerprint
	var assign func(authority int, tried map[string]bool) bool
	assign = func(authority int, tried map[string]bool) bool {
		for _, fingerprint := range j.policy.Authorities[authority].fingerprints() {
			if _, signed := j.accepted[fingerprint]; !signed || tried[fingerprint] {
				continue
			}
			tried[fingerprint] = true
			holder, held := authorityOf[fingerprint]
			if !held || assign(holder, tried) {
				authorityOf[fingerprint] = authority
				return true
			}
		}
		return false
	}
	for i := range j.policy.Authorities {
		assign(i, map[string]bool{})
	}

	keyOf := map[int]string{}
	for fingerprint, authority := range authorityOf {
		keyOf[authority] = fingerprint
	}
	var signers []Signer
	for i, a := range j.policy.Authorities {
		if fingerprint, ok := keyOf[i]; ok {
			signers = append(signers, Signer{Authority: a.Name, Format: j.accepted[fingerprint], KeyFingerprint: fingerprint})
		}
	}
	return signers
}
