package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/assay-dev/assay/internal/pack"
	"github.com/assay-dev/assay/internal/signing"
)

// pushed is what push prints. The first fields are named as Timoni names them.
type pushed struct {
	// URL is oci://<repository>@<digest>.
	URL string `json:"url"`
	// Repository is without scheme, as in image references.
	Repository   string   `json:"repository"`
	Version      string   `json:"version"`
	Digest       string   `json:"digest"`
	Tags         []string `json:"tags"`
	ArtifactType string   `json:"artifactType"`
	Files        int      `json:"files"`
	// Signature is nil for what was not signed.
	Signature *signing.Result `json:"signature,omitempty"`
}

func (p *push) report(t *terminal, f *pushFlags, packed *pack.Packed, signature *signing.Result) error {
	done := pushed{
		URL:          fmt.Sprintf("oci://%s@%s", p.repository, packed.Digest),
		Repository:   p.repository.String(),
		Version:      p.version,
		Digest:       packed.Digest,
		Tags:         []string{p.version},
		ArtifactType: string(p.kind),
		Files:        packed.Files,
		Signature:    signature,
	}
	if f.latest {
		done.Tags = append(done.Tags, latestTag)
	}
	if signature == nil {
		flags := " --cosign-key cosign.key"
		if f.remote.insecure {
			flags += " --insecure"
		}
		t.say("note: it is not signed, and the controller publishes only what is: assay sign %s%s", done.URL, flags)
	}
	return t.print(f.output, done, func() error { return done.print(t, f.remote.insecure) })
}

// print says what was pushed, and what to do with it next.
func (d pushed) print(t *terminal, insecure bool) error {
	fmt.Fprintf(t.out, "%s oci://%s:%s\n", t.paint(good, "Pushed"), d.Repository, d.Version)
	var r rows
	r.add("digest", d.Digest)
	r.add("tags", strings.Join(d.Tags, ", "))
	r.add("files", strconv.Itoa(d.Files))
	r.print(t.out)
	if d.Signature != nil {
		if err := t.printSigned(*d.Signature); err != nil {
			return err
		}
	}
	fmt.Fprintf(t.out, "\nIn a ModuleSource, beside verify:\n  spec:\n    url: oci://%s\n    version: %s\n", d.Repository, d.Version)
	if insecure {
		fmt.Fprintln(t.out, "    insecure: true")
	}
	return nil
}
