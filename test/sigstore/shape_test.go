package sigstore_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/assay-dev/assay/test/fixtures"
	"github.com/assay-dev/assay/test/signing"
	"github.com/assay-dev/assay/test/sigstore"
)

// TestBundleShape compares bundles with those of the real tools, by the fields
// that they have.
func TestBundleShape(t *testing.T) {
	s := newSigstore(t)
	key, err := signing.NewKey(signing.ECDSAP256)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := signing.NewKey(signing.ECDSAP384)
	if err != nil {
		t.Fatal(err)
	}
	certificate := issue(t, s, sigstore.CertificateOptions{})
	for fixture, made := range map[string]struct {
		signer  *sigstore.Signer
		request sigstore.Request
	}{
		"v3-rekor1-github":     {certificate, sigstore.Request{Log: sigstore.Rekor1}},
		"v3-rekor1-tsa-gitlab": {certificate, sigstore.Request{Log: sigstore.Rekor1, Timestamp: true}},
		"v3-rekor2-github":     {certificate, sigstore.Request{Log: sigstore.Rekor2, Timestamp: true}},
		"v3-tsa-email":         {certificate, sigstore.Request{Timestamp: true}},
		"v3-key":               {sigstore.KeySigner(key), sigstore.Request{Log: sigstore.Rekor1}},
		"v3-key-rekor2":        {sigstore.KeySigner(key), sigstore.Request{Log: sigstore.Rekor2, Timestamp: true}},
		"p384-v3-rekor2":       {sigstore.KeySigner(p384), sigstore.Request{Log: sigstore.Rekor2, Timestamp: true}},
		"v3-key-notlog":        {sigstore.KeySigner(key), sigstore.Request{}},
	} {
		t.Run(fixture, func(t *testing.T) {
			made.request.Format = sigstore.FormatBundle
			// The first entry of a log has no index, and no proof.
			sign(t, s, made.signer, made.request)
			ours, err := sign(t, s, made.signer, made.request).Bundle()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(shapeOfBundle(t, fixtureBundle(t, fixture)), shapeOfBundle(t, ours)); diff != "" {
				t.Errorf("bundle (-real +ours):\n%s", diff)
			}
		})
	}
}

// TestAnnotationShape compares the v2 format with that of the real tools.
func TestAnnotationShape(t *testing.T) {
	s := newSigstore(t)
	key, err := signing.NewKey(signing.ECDSAP256)
	if err != nil {
		t.Fatal(err)
	}
	certificate := issue(t, s, sigstore.CertificateOptions{})
	for fixture, made := range map[string]struct {
		signer  *sigstore.Signer
		request sigstore.Request
	}{
		"v2-github":           {certificate, sigstore.Request{Log: sigstore.Rekor1}},
		"v2-tsa-email":        {certificate, sigstore.Request{Log: sigstore.Rekor1, Timestamp: true}},
		"v2-tsa-notlog-email": {certificate, sigstore.Request{Timestamp: true}},
		"v2-key":              {sigstore.KeySigner(key), sigstore.Request{Log: sigstore.Rekor1}},
		"v2-key-notlog":       {sigstore.KeySigner(key), sigstore.Request{}},
	} {
		t.Run(fixture, func(t *testing.T) {
			made.request.Format = sigstore.FormatCosign
			ours, err := sign(t, s, made.signer, made.request).Cosign()
			if err != nil {
				t.Fatal(err)
			}
			annotations := ours.Annotations
			annotations["dev.cosignproject.cosign/signature"] = ours.Base64
			if diff := cmp.Diff(shapeOfAnnotations(t, fixtureLayer(t, fixture, ".sig").Annotations), shapeOfAnnotations(t, annotations)); diff != "" {
				t.Errorf("annotations (-real +ours):\n%s", diff)
			}
		})
	}
}

// TestTrustedRootShape compares the trusted root with the fixtures'.
func TestTrustedRootShape(t *testing.T) {
	theirs, err := fixtures.File("trust/trusted_root.json")
	if err != nil {
		t.Fatal(err)
	}
	ours := shapeOf(t, newSigstore(t).TrustedRoot())
	// The keys of the fixtures' logs are all P-256; ours has an Ed25519 key
	// for Rekor v2, as the public instance does.
	ours = slices.DeleteFunc(ours, func(line string) bool { return strings.HasSuffix(line, "=PKIX_ED25519") })
	if diff := cmp.Diff(shapeOf(t, theirs), ours); diff != "" {
		t.Errorf("trusted root (-real +ours):\n%s", diff)
	}
}

// fixtureLayer is the only layer of the manifest whose tag ends so.
func fixtureLayer(t *testing.T, fixture, suffix string) v1.Descriptor {
	t.Helper()
	for _, manifest := range fixtureIndex(t, path.Join(fixture, "index.json")).Manifests {
		if strings.HasSuffix(manifest.Annotations["org.opencontainers.image.ref.name"], suffix) {
			return onlyLayer(t, fixture, manifest.Digest)
		}
	}
	t.Fatalf("fixture %s has no tag *%s", fixture, suffix)
	return v1.Descriptor{}
}

// fixtureBundle is the bundle that is attached to the artifact.
func fixtureBundle(t *testing.T, fixture string) []byte {
	t.Helper()
	for _, manifest := range fixtureIndex(t, path.Join(fixture, "index.json")).Manifests {
		if !manifest.MediaType.IsIndex() {
			continue
		}
		referrers := fixtureIndex(t, blob(fixture, manifest.Digest)).Manifests
		layer := onlyLayer(t, fixture, referrers[0].Digest)
		return fixtureFile(t, blob(fixture, layer.Digest))
	}
	t.Fatalf("fixture %s has no referrers", fixture)
	return nil
}

func onlyLayer(t *testing.T, fixture string, digest v1.Hash) v1.Descriptor {
	t.Helper()
	var manifest v1.Manifest
	if err := json.Unmarshal(fixtureFile(t, blob(fixture, digest)), &manifest); err != nil {
		t.Fatal(err)
	}
	if len(manifest.Layers) != 1 {
		t.Fatalf("%d layers in %s of %s, want one", len(manifest.Layers), digest, fixture)
	}
	return manifest.Layers[0]
}

func fixtureIndex(t *testing.T, name string) (index v1.IndexManifest) {
	t.Helper()
	if err := json.Unmarshal(fixtureFile(t, name), &index); err != nil {
		t.Fatal(err)
	}
	return index
}

func fixtureFile(t *testing.T, name string) []byte {
	t.Helper()
	content, err := fixtures.File(name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func blob(fixture string, h v1.Hash) string { return path.Join(fixture, "blobs", h.Algorithm, h.Hex) }

// shapeOfBundle is the shape of a bundle and of the bodies of its entries.
func shapeOfBundle(t *testing.T, document []byte) []string {
	t.Helper()
	all := shapeOf(t, document)
	var bundle struct {
		VerificationMaterial struct {
			TlogEntries []struct {
				CanonicalizedBody []byte `json:"canonicalizedBody"`
			} `json:"tlogEntries"`
		} `json:"verificationMaterial"`
	}
	if err := json.Unmarshal(document, &bundle); err != nil {
		t.Fatal(err)
	}
	for _, entry := range bundle.VerificationMaterial.TlogEntries {
		all = append(all, shapeOf(t, entry.CanonicalizedBody)...)
	}
	return all
}

// shapeOfAnnotations is the shape of those that are JSON, and the names of the
// others.
func shapeOfAnnotations(t *testing.T, annotations map[string]string) []string {
	t.Helper()
	var all []string
	for name, value := range annotations {
		if !json.Valid([]byte(value)) {
			all = append(all, name)
			continue
		}
		for _, line := range shapeOf(t, []byte(value)) {
			all = append(all, name+" "+line)
		}
		if name != "dev.sigstore.cosign/bundle" {
			continue
		}
		var bundle struct{ Payload struct{ Body string } }
		if err := json.Unmarshal([]byte(value), &bundle); err != nil {
			t.Fatal(err)
		}
		body, err := base64.StdEncoding.DecodeString(bundle.Payload.Body)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, shapeOf(t, body)...)
	}
	slices.Sort(all)
	return all
}

// telling are the fields of which the value counts too.
var telling = []string{"mediaType", "kind", "version", "apiVersion", "algorithm", "keyDetails", "payloadType", "hashAlgorithm"}

// shapeOf lists the paths of a JSON document, each once, with the values of
// those that do not depend on keys.
func shapeOf(t *testing.T, document []byte) []string {
	t.Helper()
	var root any
	if err := json.Unmarshal(document, &root); err != nil {
		t.Fatal(err)
	}
	var all []string
	var walk func(at string, node any)
	walk = func(at string, node any) {
		switch node := node.(type) {
		case map[string]any:
			for name, child := range node {
				walk(at+"."+name, child)
			}
		case []any:
			for _, child := range node {
				walk(at+"[]", child)
			}
		default:
			line := fmt.Sprintf("%s %T", at, node)
			if slices.Contains(telling, at[strings.LastIndex(at, ".")+1:]) {
				line += fmt.Sprintf(" =%v", node)
			}
			all = append(all, line)
		}
	}
	walk("", root)
	slices.Sort(all)
	return slices.Compact(all)
}
