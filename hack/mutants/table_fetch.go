package main

// What is pulled once a digest is verified.
var fetchMutants = in("internal/registry/fetch.go",
	breaks("fetch-unverified", `if v.IsZero() || v.Digest() != r.Digest {`, `if v.Digest() != r.Digest && !v.IsZero() {`, "TestFetchRefusesWhatIsNotVerified"),
	breaks("fetch-another-digest", `if v.IsZero() || v.Digest() != r.Digest {`, `if v.IsZero() {`, "TestFetchRefusesWhatIsNotVerified"),
	breaks("fetch-what-is-gone", `return nil, nil, errorf(VersionNotFound,`, `return nil, nil, errorf(ArtifactInvalid,`, "TestFetchOfWhatIsGone"),
	breaks("fetch-index", `m.MediaType == string(types.OCIImageIndex) ||`, ``, "TestFetchRefusesManifests"),
	breaks("fetch-manifest-list", `|| m.MediaType == string(types.DockerManifestList) {`, `{`, "TestFetchRefusesManifests"),
	breaks("version-not-compared", `if err := m.checkVersion(r); err != nil {`, `if err := m.checkVersion(r); err != nil && m == nil {`, "TestFetchRefusesAnotherVersion"),
	breaks("version-not-written", `if !ok && m.isTimoni() {`, `if !ok {
		return nil
	}
	if !ok {`, "TestVersionOfTheSignedManifest"),
	breaks("version-of-timoni-malformed", `if err != nil && !m.isTimoni() {`, `if err != nil {`, "TestVersionOfTheSignedManifest"),
	breaks("version-of-others-demanded", `if err != nil && !m.isTimoni() {`, `if err != nil && m == nil {`, "TestVersionOfTheSignedManifest"),
	breaks("version-another", `if err != nil || signed.String() != offered.String() {`, `if err != nil || signed == nil {`, "TestVersionOfTheSignedManifest"),
	breaks("version-without-build", `signed.String() != offered.String() {`, `!signed.Equal(offered) {`, "TestVersionOfTheSignedManifest"),
	breaks("timoni-by-config", `if m.Config.MediaType == timoniConfigMediaType ||`, `if`, "TestIsTimoni"),
	breaks("timoni-by-artifact-type", `|| m.ArtifactType == timoniConfigMediaType {`, `{`, "TestIsTimoni"),
	breaks("timoni-by-layer", `		if l.MediaType == timoniContentMediaType {`, `		if l.MediaType == "" {`, "TestFetchRefusesManifests"),
	breaks("annotations-of-any-name", `if strings.HasPrefix(key, annotationPrefix) &&`, `if`, "TestAnnotationsAreBounded"),
	breaks("annotations-one-more", `if len(kept) < maxAnnotations &&`, `if len(kept) < maxAnnotations+1 &&`, "TestAnnotationsAreBounded"),
	breaks("annotations-longer", `len(key)+len(all[key]) <= maxAnnotationBytes {`, `len(key)+len(all[key]) <= maxAnnotationBytes+1 {`, "TestAnnotationsAreBounded"),
	breaks("layers-of-others-all", `			break
`, ``, "TestFetchRefusesManifests"),
	breaks("layers-none", `if len(layers) == 0 {`, `if len(layers) < 0 {`, "TestFetchRefusesManifests"),
	breaks("layers-one-more", `if len(layers) > maxLayers ||`, `if len(layers) > maxLayers+1 ||`, "TestFetchRefusesManifests"),
	breaks("layers-cut", ` || (m.isTimoni() && m.Layers.more) {`, ` {`, "TestLayersThatAreCut"),
	breaks("layer-of-no-digest", `if !digestPattern.MatchString(l.Digest) || l.Size < 0 {`, `if l.Size < 0 {`, "TestFetchRefusesManifests"),
	breaks("layer-of-a-negative-size", `if !digestPattern.MatchString(l.Digest) || l.Size < 0 {`, `if !digestPattern.MatchString(l.Digest) {`, "TestFetchRefusesManifests"),
	breaks("layers-too-large", `total > maxBytes {`, `total > 2*maxBytes {`, "TestFetchRefusesManifests"),
	breaks("layers-of-overflowing-sizes", `total += min(l.Size, maxBytes+1);`, `total += l.Size;`, "TestSizesThatOverflow"),
	breaks("layer-not-read", `if err := c.blob(ctx, l.Digest, l.Size, io.MultiWriter(f, told)); err != nil {`, `if err := c.blob(ctx, l.Digest, l.Size, io.MultiWriter(f, told)); err != nil && f == nil {`, "TestFetchRefusesManifests"),
)
