package verify

import "fmt"

// guarded turns a panic over untrusted bytes into a no for that signature, and
// counts it. It is the last resort, so that no input can end the process, and
// not control flow: what is known to make a library panic is refused before, and
// the count must be 0. One that is not is a defect of ours or of a library that
// hostile bytes reach, which nobody has judged.
func guarded(faults *int, judge func() finding) (found finding) {
	defer func() {
		if recover() != nil {
			*faults++
			found = finding{standing: faulted}
		}
	}()
	return judge()
}

// faultRefusal is the no after a panic outside of what is guarded.
func (j *judgement) faultRefusal(digest string) *Refusal {
	j.faults++
	name := j.digest.String()
	if j.digest.Hex == "" { // It may be anything.
		name = fmt.Sprintf("%.100q", digest)
	}
	return &Refusal{Reason: ReasonSignatureInvalid, Panics: j.faults, Message: name + ": expected a verdict, found a defect: the program failed while it judged"}
}
