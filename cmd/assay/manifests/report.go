package manifests

import "github.com/assay-dev/assay/api/v1alpha1"

// Verdict is what became of one ModuleSource.
type Verdict string

// The verdicts.
const (
	// Verified: the controller would verify and publish it.
	Verified Verdict = "Verified"
	// Refused: judged, and the answer is no.
	Refused Verdict = "Refused"
	// Unpublishable: verified, and the controller could not publish it.
	Unpublishable Verdict = "Unpublishable"
	// Invalid: the API server or the controller would refuse what is written.
	Invalid Verdict = "Invalid"
	// Unknown: it could not be judged.
	Unknown Verdict = "Unknown"
)

// IsNo reports whether a verdict is a reason not to merge, as opposed to one that
// could not be reached.
func (v Verdict) IsNo() bool { return v == Refused || v == Unpublishable || v == Invalid }

// Result is the verdict on one ModuleSource.
type Result struct {
	Position
	Namespace string  `json:"namespace"`
	Name      string  `json:"name"`
	URL       string  `json:"url,omitempty"`
	Verdict   Verdict `json:"verdict"`
	// Reason is that of the controller's conditions: SignatureVerified,
	// NoSignature, RegistryUnavailable and so on.
	Reason string `json:"reason"`
	// Revision is <version or tag>@<digest>, or <digest>; absent where nothing was
	// resolved.
	Revision string `json:"revision,omitempty"`
	// Version is the version or tag, as the registry spells it.
	Version string `json:"version,omitempty"`
	Digest  string `json:"digest,omitempty"`
	// Signatures are the accepted ones, as in status.verification.
	Signatures []v1alpha1.AcceptedSignature `json:"signatures,omitempty"`
	// Problems say why it is not verified, each with the line that it is about.
	Problems []Problem `json:"problems,omitempty"`
	// Notes change no verdict.
	Notes []Note `json:"notes,omitempty"`
}

// Report is what became of all of them.
type Report struct {
	// Results are in the order of the manifests.
	Results []Result `json:"results"`
	// Problems are documents that cannot be read.
	Problems []Problem `json:"problems,omitempty"`
	Summary  Summary   `json:"summary"`
}

// Summary counts.
type Summary struct {
	Files         int `json:"files"`
	Verified      int `json:"verified"`
	Refused       int `json:"refused"`
	Unpublishable int `json:"unpublishable"`
	Invalid       int `json:"invalid"`
	Unknown       int `json:"unknown"`
	// Unreadable counts documents that are no YAML or JSON.
	Unreadable int `json:"unreadable"`
}

func summarize(results []Result, set *Set) Report {
	r := Report{Results: results, Problems: set.Problems, Summary: Summary{Files: set.Files, Unreadable: len(set.Problems)}}
	for _, result := range results {
		switch result.Verdict {
		case Verified:
			r.Summary.Verified++
		case Refused:
			r.Summary.Refused++
		case Unpublishable:
			r.Summary.Unpublishable++
		case Invalid:
			r.Summary.Invalid++
		case Unknown:
			r.Summary.Unknown++
		}
	}
	return r
}

// IsNo reports whether something must not be applied.
func (s Summary) IsNo() bool { return s.Refused+s.Unpublishable+s.Invalid+s.Unreadable > 0 }
