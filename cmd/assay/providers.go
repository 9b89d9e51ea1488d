package main

import (
	// Where a token comes from without a browser: GitHub Actions, GitLab CI
	// (SIGSTORE_ID_TOKEN), Buildkite, Google Cloud, SPIFFE, a file.
	_ "github.com/sigstore/cosign/v2/pkg/providers/all"
	// The key management services of Cosign: awskms://, azurekms://, gcpkms://,
	// hashivault://.
	_ "github.com/sigstore/sigstore/pkg/signature/kms/aws"
	_ "github.com/sigstore/sigstore/pkg/signature/kms/azure"
	_ "github.com/sigstore/sigstore/pkg/signature/kms/gcp"
	_ "github.com/sigstore/sigstore/pkg/signature/kms/hashivault"
)
