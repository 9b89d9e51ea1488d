package main

import "slices"

// What is published: names, kinds and amounts, and in which order it comes to
// the disk.
//
// Not here: the folder's "." as a path (cleanName gives it, and a tree with it
// holds no file); which error of a reader counts, which chooses words; and that
// the server refuses a path that is none (serve), whose owner has no file. Nor
// what of a seal stands beside the time of change, which whoever changes
// something changes too.
var artifactMutants = slices.Concat(
	in("internal/artifact/name.go",
		breaks("name-none", `case name == "":`, `case name == "\x00":`, "TestPublishRefusesEntries"),
		breaks("name-not-utf8", `case !utf8.ValidString(name):`, `case !utf8.ValidString(name) && name == "":`, "TestPublishRefusesEntries"),
		breaks("name-with-control", `case strings.ContainsFunc(name, unicode.IsControl):`, `case strings.ContainsFunc(name, unicode.IsControl) && name == "":`, "TestPublishRefusesEntries"),
		breaks("name-with-nul", `case strings.ContainsFunc(name, unicode.IsControl):`, `case strings.ContainsFunc(name, func(r rune) bool { return r > 0 && unicode.IsControl(r) }):`, "FuzzCleanName"),
		breaks("name-with-backslash", `case strings.Contains(name, `+"`\\`"+`):`, `case name == "\x00":`, "TestPublishRefusesEntries"),
		breaks("name-absolute", `case strings.HasPrefix(name, "/"):`, `case name == "\x00":`, "TestPublishRefusesEntries"),
		breaks("name-with-dots", `if element == ".." {`, `if element == "\x00" {`, "TestPublishRefusesEntries"),
		breaks("name-begins-with-dots", `if element == ".." {`, `if name == ".." {`, "TestPublishRefusesEntries"),
		breaks("name-element-longer", `if len(element) > maxElementBytes {`, `if len(element) > maxElementBytes+1 {`, "TestPublishRefusesEntries"),
		breaks("name-element-constant", `maxElementBytes = 255`, `maxElementBytes = 256`, "TestPublishRefusesEntries"),
		breaks("name-of-a-folder", `!isFolder && (last == "" || last == ".") {`, `!isFolder && last == "\x00" {`, "TestPublishRefusesEntries"),
		breaks("name-ends-in-a-dot", `(last == "" || last == ".") {`, `last == "" {`, "TestPublishRefusesEntries"),
		breaks("name-longer", `if len(cleaned) > maxNameBytes {`, `if len(cleaned) > maxNameBytes+1 {`, "TestPublishRefusesEntries"),
		breaks("name-constant", `maxNameBytes    = 1024`, `maxNameBytes    = 1025`, "TestPublishRefusesEntries"),
		breaks("name-not-cleaned", `return cleaned, nil`, `return name, nil`, "TestArchiveIsAFunctionOfTheTree"),
	),
	in("internal/artifact/extract.go",
		breaks("extract-unverified", `if v.IsZero() {`, `if v.IsZero() && dir == "" {`, "TestExtractRefusesWhatIsNotVerified"),
		breaks("extract-into-what-is-there", `os.Mkdir(dir, 0o755)`, `os.MkdirAll(dir, 0o755)`, "TestExtractIntoWhatIsThere"),
		breaks("extract-modes", `		mode = 0o755`, `		mode = 0o644`, "TestPublishMerges"),
		breaks("extract-after-its-end", `if err := ctx.Err(); err != nil {`, `if err := ctx.Err(); err != nil && done.Files > 0 {`, "TestExtractEndsWithItsContext"),
	),
	in("internal/artifact/layer.go",
		breaks("entry-hard-link", `		found = "a hard link"`, ``, "TestPublishRefusesEntries"),
		breaks("entry-symbolic-link", `		found = "a symbolic link"`, ``, "TestPublishRefusesEntries"),
		breaks("entry-character-device", `		found = "a character device"`, ``, "TestPublishRefusesEntries"),
		breaks("entry-block-device", `		found = "a block device"`, ``, "TestPublishRefusesEntries"),
		breaks("entry-fifo", `		found = "a FIFO"`, ``, "TestPublishRefusesEntries"),
		breaks("entry-sparse", `	case tar.TypeGNUSparse:
		found = "a sparse file"`, `	case tar.TypeGNUSparse:`, "TestPublishRefusesEntries"),
		breaks("entry-pax-sparse", `		if strings.HasPrefix(key, "GNU.sparse.") {
			found`, `		if strings.HasPrefix(key, "\x00") {
			found`, "TestPublishRefusesEntries"),
		breaks("entry-of-any-type", `found = "the type " + quote(string(header.Typeflag))`, `_ = header`, "TestPublishRefusesEntries"),
		breaks("folder-with-contents", `if header.Size != 0 {`, `if header.Size < 0 {`, "TestPublishRefusesEntries"),
		breaks("global-header-unread", `return t.checkGlobal(header)`, `return nil`, "TestPublishRefusesStreams"),
		breaks("global-path", `if key == "path" || key`, `if key`, "TestPublishRefusesStreams"),
		breaks("global-linkpath", `key == "linkpath" ||`, ``, "TestPublishRefusesStreams"),
		breaks("global-size", `key == "size" ||`, ``, "TestPublishRefusesStreams"),
		breaks("global-sparse", `|| strings.HasPrefix(key, "GNU.sparse.") {
			keys`, `{
			keys`, "TestPublishRefusesStreams"),
		breaks("entries-one-more", `t.read > t.limits.Files {`, `t.read > t.limits.Files+1 {`, "TestPublishRefusesWhatIsTooLarge"),
		breaks("entries-in-each-layer", `if t.read++;`, `if t.read = len(t.entries) + 1;`, "TestPublishRefusesWhatIsTooLarge"),
		breaks("contents-unbounded", `if header.Size > t.limits.ArchiveBytes-t.contents {`, `if header.Size > t.limits.ArchiveBytes+1-t.contents {`, "TestPublishRefusesWhatIsTooLarge"),
		breaks("contents-of-each-file", `if header.Size > t.limits.ArchiveBytes-t.contents {`, `if header.Size > t.limits.ArchiveBytes {`, "TestPublishRefusesWhatIsTooLarge"),
		breaks("contents-not-counted", `t.contents += header.Size`, `t.contents = header.Size`, "TestContentsOfManyFilesCount"),
		breaks("overhead-of-contents", `t.overhead += header.Size`, `t.overhead += 0`, "TestPublishTakesWhatFits"),
		breaks("layer-of-several-streams", `unzipped.Multistream(false)`, `unzipped.Multistream(true)`, "TestPublishRefusesStreams"),
		breaks("layer-with-more-bytes", `	case err == nil:
		return invalid("layer %d: expected the end`, `	case err != nil && compressed == nil:
		return invalid("layer %d: expected the end`, "TestPublishRefusesStreams"),
		breaks("padding-of-any-bytes", `			if b != 0 {`, `			if b > 255-1 {`, "TestPublishRefusesStreams"),
		breaks("padding-not-read", `if err := t.readPadding(stream); err != nil {`, `if err := error(nil); err != nil {`, "TestPublishRefusesStreams"),
	),
	in("internal/artifact/limits.go",
		breaks("ratio-unbounded", `return max(freeRatioBytes, compressed*l.Ratio)`, `return max(freeRatioBytes, 2*compressed*l.Ratio)`, "TestStreamBytesAreExact"),
		breaks("ratio-overflows", `if compressed > math.MaxInt64/l.Ratio-1 {`, `if compressed > math.MaxInt64-1 {`, "TestLimitsStreamBytesDoNotOverflow"),
		breaks("ratio-without-free-bytes", `return max(freeRatioBytes, compressed*l.Ratio)`, `return max(0*freeRatioBytes, compressed*l.Ratio)`, "TestPublishRefusesEntries"),
		breaks("overhead-unbounded", `return overheadBytesOnce + int64(l.Files)*overheadBytesEach`, `return 16*overheadBytesOnce + int64(l.Files)*overheadBytesEach`, "TestPublishRefusesWhatIsTooLarge"),
		breaks("limits-default-bytes", `defaultArchiveBytes = 64 << 20`, `defaultArchiveBytes = 65 << 20`, "TestLimitsDefaults"),
		breaks("limits-default-files", `defaultFiles        = 10_000`, `defaultFiles        = 10_001`, "TestLimitsDefaults"),
		breaks("limits-default-ratio", `defaultRatio        = 200`, `defaultRatio        = 201`, "TestPublishRefusesWhatIsTooLarge"),
		breaks("limits-too-large", `|| l.ArchiveBytes > maxArchiveBytes {`, `|| l.ArchiveBytes < 0 {`, "TestNewStoreRefusesOptions"),
	),
	in("internal/artifact/meter.go",
		breaks("meter-of-the-ratio", `case m.read > m.most:`, `case m.read > m.most+1:`, "TestMeterReadsOneByteMore"),
		breaks("meter-of-the-overhead", `case *m.overhead < 0:`, `case *m.overhead < -1:`, "TestMeterReadsOneByteMore"),
		breaks("meter-reads-on", `int64(len(p)) > room+1 {`, `int64(len(p)) > room+1 && m.read < 0 {`, "TestMeterReadsOneByteMore"),
	),
	in("internal/artifact/tree.go",
		breaks("path-twice-in-a-layer", `if old.layer == e.layer {`, `if old.layer < 0 {`, "TestPublishRefusesTrees"),
		breaks("file-becomes-folder", `if old.isFolder != e.isFolder {`, `if old.layer < 0 {`, "TestPublishRefusesTrees"),
		breaks("path-below-a-file", `ok && !above.isFolder {`, `ok && above.layer < 0 {`, "TestPublishRefusesTrees"),
		breaks("no-file", `if len(files) == 0 {`, `if len(files) < 0 {`, "TestPublishRefusesTrees"),
		breaks("first-layer-wins", `	t.entries[e.name] = e
`, `	if _, ok := t.entries[e.name]; !ok {
		t.entries[e.name] = e
	}
`, "TestPublishMerges"),
		breaks("folders-as-files", `if e := t.entries[name]; !e.isFolder {`, `if e := t.entries[name]; e.layer > 0 {`, "TestPublishMerges"),
	),
	in("internal/artifact/publish.go",
		breaks("publish-unverified", `if v.IsZero() {`, `if v.IsZero() && v.Digest() != "" {`, "TestPublishRefusesTheZeroVerified"),
		breaks("publish-for-any-owner", `if err := owner.validate(); err != nil {`, `if err := owner.validate(); err != nil && owner.Name == "\x00" {`, "TestOwnerRefusesUnsafeNames"),
		breaks("archive-before-signatures", `		{s.relative(temp, signaturesFile), owner.signatures(hex)},
		{s.relative(temp, archiveFile), owner.archive(hex)},`, `		{s.relative(temp, archiveFile), owner.archive(hex)},
		{s.relative(temp, signaturesFile), owner.signatures(hex)},`, "TestPublishPlacesSignaturesFirst"),
		breaks("publish-beside-what-is-denied", `if s.isDenied(owner) {`, `if s.isDenied(owner) && own == nil {`, "TestPublishFinishesTheWithdrawal"),
		breaks("archive-not-superseded", `if err := s.supersede(owner, built.hex); err != nil {`, `if err := error(nil); err != nil {`, "TestCollectWaitsForTheRetention"),
	),
	in("internal/artifact/signatures.go",
		breaks("kept-none", `if len(signatures) == 0 {`, `if len(signatures) < 0 {`, "TestPublishRefusesSignatures"),
		breaks("kept-one-more", `if len(signatures) > verify.MaxSignatures {`, `if len(signatures) > verify.MaxSignatures+1 {`, "TestPublishRefusesSignatures"),
		breaks("kept-bytes", `if keptBytes(signatures) > maxKeptBytes {`, `if keptBytes(signatures) > 2*maxKeptBytes {`, "TestPublishRefusesSignatures"),
		breaks("kept-read-none", `if n := len(list); n == 0 ||`, `if n := len(list); n < 0 ||`, "TestSignaturesRefuses"),
		breaks("kept-read-one-more", `n == 0 || n > verify.MaxSignatures {`, `n == 0 || n > verify.MaxSignatures+1 {`, "TestSignaturesRefuses"),
		breaks("kept-read-unhashed", ` || file.SHA256 != sha256Hex(file.Signatures) {`, ` {`, "TestSignaturesNoticeEveryFlippedBit"),
		breaks("kept-whole-whatever-it-is", `return err == nil, nil
}

func sha256Hex`, `return err == nil || len(raw) > 0, nil
}

func sha256Hex`, "TestHoldsFindsWhatTheDiskLost"),
		breaks("kept-read-unbounded", `if info.Size() > maxKeptBytes {`, `if info.Size() > 2*maxKeptBytes {`, "TestSignaturesRefuses"),
		breaks("kept-without-annotations", `keptSignature{s.Format, s.Payload, s.Annotations})`, `keptSignature{s.Format, s.Payload, nil})`, "TestSignaturesAreKeptAsTheyWere"),
	),
	in("internal/artifact/holds.go",
		breaks("holds-any-path", `|| path != owner.archive(hex) {`, `{`, "TestHolds"),
		breaks("holds-without-signatures", `	f, whole, err = s.openChecked(owner.signatures(hex), 0, areSignatures)
`, `	return whole, nil
	f, whole, err = s.openChecked(owner.signatures(hex), 0, areSignatures)
`, "TestHoldsFindsWhatTheDiskLost"),
		breaks("holds-what-is-denied", `if s.isDenied(owner) {
		return false`, `if s.isDenied(owner) && hex == "" {
		return false`, "TestWithdrawFromADiskThatKeepsThem|TestServes"),
		breaks("serves-any-path", `if !ok || owner.validate() != nil || path != owner.archive(hex) || s.isDenied(owner) {`, `if !ok || owner.validate() != nil || s.isDenied(owner) {`, "TestServes"),
		breaks("serves-what-is-denied", `|| path != owner.archive(hex) || s.isDenied(owner) {`, `|| path != owner.archive(hex) {`, "TestServes"),
		breaks("serves-what-is-damaged", `return f.Close() == nil && whole`, `return f.Close() == nil && (whole || hex != "")`, "TestServes"),
		breaks("serves-nothing", `return f.Close() == nil && whole`, `return f.Close() != nil && whole`, "TestServes"),
		breaks("has-nothing-on-the-disk", `|| len(names) > 0 || s`, `|| len(names) < 0 || s`, "TestHas"),
		breaks("has-nothing-under-way", ` || s.isDenied(owner)
}`, `
}`, "TestHas|TestWithdrawFromADiskThatKeepsThem"),
		breaks("sends-what-is-denied", `if s.isDenied(owner) {
		return nil, fs.ErrNotExist`, `if s.isDenied(owner) && hex == "" {
		return nil, fs.ErrNotExist`, "TestWithdrawFromADiskThatKeepsThem"),
		breaks("sends-what-is-damaged", `	if !whole {
		s.foundDamage`, `	if !whole && f == nil {
		s.foundDamage`, "TestServerNoticesWhatWasWritten"),
		breaks("damage-stays", `if own, unlock := s.tryLock(owner); own != nil {`, `if own, unlock := s.tryLock(owner); own != nil && hex == "" {`, "TestServerNoticesWhatWasWritten|TestServerNoticesWhatTheDiskGotWrong"),
		breaks("damage-untold", `	s.onDamage(owner)`, `	_ = s.onDamage`, "TestServerNoticesWhatWasWritten|TestServerNoticesWhatTheDiskGotWrong"),
		breaks("holds-keeps-what-is-wrong", `return false, s.removeArchive(owner, hex)`, `return false, nil`, "TestHoldsFindsWhatTheDiskLost"),
	),
	in("internal/artifact/check.go",
		breaks("holds-any-content", `return hex.EncodeToString(hash.Sum(nil)) == want, nil`, `return hex.EncodeToString(hash.Sum(nil)) != "" || want == "", nil`, "TestHoldsFindsWhatTheDiskLost"),
		breaks("seal-not-compared", `known.seal == found && `, ``, "TestHoldsReadsWhatChanged|TestServerNoticesWhatWasWritten"),
		breaks("seal-never-believed", `if sealed && !known.at.IsZero() && known.seal == found`, `if sealed && known.at.IsZero() && known.seal == found`, "TestHoldsReadsWhatChanged"),
		breaks("seal-however-old", `now.Sub(known.at) < age)`, `now.Sub(known.at) >= 0)`, "TestServerReadsTheWholeBeforeAPart"),
		breaks("seal-of-age-always", `(age == 0 || `, `(`, "TestHoldsReadsWhatChanged|TestHolds|TestHoldsReadsAgainWhatIsNotSettled"),
		breaks("seal-not-settled", `now.Sub(found.changed) >= settling {`, `now.Sub(found.changed) >= 0 {`, "TestSealSettles"),
		breaks("seal-settled-later", `now.Sub(found.changed) >= settling {`, `now.Sub(found.changed) > settling {`, "TestSealSettles"),
		breaks("seal-whole-whatever", `known.seal, known.whole, known.at = found, whole, now`, `known.seal, known.whole, known.at = found, true, now`, "TestHoldsReadsWhatChanged|TestHoldsFindsWhatTheDiskLost|TestServerNoticesWhatWasWritten"),
	),
	in("internal/artifact/seal_linux.go",
		breaks("seal-without-change", `, changed: time.Unix(stat.Ctim.Unix()),`, `,`, "TestHoldsReadsWhatChanged"),
	),
	in("internal/artifact/withdraw.go",
		breaks("withdraw-not-denied", `	s.deny(owner, true)
`, ``, "TestWithdrawFromADiskThatKeepsThem"),
		breaks("withdraw-denied-for-ever", `	s.deny(owner, false)
`, ``, "TestWithdraw|TestPublishFinishesTheWithdrawal|TestWithdrawFromADiskThatKeepsThem"),
		breaks("withdraw-error-ignored", `	if err := s.removeAll(owner); err != nil {
		return err`, `	if err := s.removeAll(owner); err != nil && own == nil {
		return err`, "TestWithdrawFromADiskThatKeepsThem"),
		breaks("withdraw-signatures-first", `	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := s.root.RemoveAll`, `	if err := s.root.RemoveAll`, "TestWithdrawArchivesFirst"),
		breaks("withdraw-still-believed", `	s.checks.forgetBelow(owner.folder())
`, ``, "TestWithdrawForgetsWhatWasRead"),
		breaks("keep-only-none", `if hex != keep {`, `if hex != keep || keep != "" {`, "TestKeepOnly"),
		breaks("keep-only-all", `if hex != keep {`, `if hex != keep && keep == "" {`, "TestKeepOnly"),
		breaks("keep-only-for-any-owner", `if err := owner.validate(); err != nil || !ok {
		return err`, `if err := owner.validate(); (err != nil && owner.Name == "\x00") || !ok {
		return err`, "TestKeepOnly"),
		breaks("keep-only-of-no-digest", `err != nil || !ok {`, `err != nil || !ok && keep != "" {`, "TestKeepOnly"),
		breaks("sweep-of-the-living", `	if keep(owner) {`, `	if keep(owner) && own == nil {`, "TestSweep"),
		breaks("sweep-nothing", `	if keep(owner) {`, `	if keep(owner) || own != nil {`, "TestSweep"),
	),
	in("internal/artifact/retention.go",
		breaks("denied-not-collected", `	if s.isDenied(owner) {
		return s.withdraw`, `	if s.isDenied(owner) && own == nil {
		return s.withdraw`, "TestWithdrawFromADiskThatKeepsThem"),
		breaks("retention-longer", `case now.Sub(since) >= s.retention:`, `case now.Sub(since) > s.retention:`, "TestCollectWaitsForTheRetention"),
		breaks("retention-none", `case now.Sub(since) >= s.retention:`, `case now.Sub(since) >= 0:`, "TestCollectWaitsForTheRetention"),
		breaks("replaced-by-others-is-served", `if hex != current && marked.Equal(notSuperseded) {`, `if hex == "" && marked.Equal(notSuperseded) {`, "TestAdopt"),
		breaks("adopted-without-what-was-superseded", `if hex != current && marked.Equal(notSuperseded) {`, `if hex != current && (hex != "" || marked.Equal(notSuperseded)) {`, "TestAdopt"),
		breaks("replaced-by-others-though-not-removed", `			s.deny(owner, true)
			s.onError(err)`, `			s.onError(err)`, "TestAdoptOnADiskThatKeepsThem"),
		breaks("collected-though-current", `if hex == own.current {`, `if hex == "" {`, "TestCollectWaitsForTheRetention|TestAdopt|TestPublishTakesASupersededArchiveBack"),
	),
	in("internal/artifact/layout.go",
		breaks("owner-namespace-of-any-form", `if len(o.Namespace) > maxLabelBytes || !dnsLabel.MatchString(o.Namespace) {`, `if len(o.Namespace) > maxLabelBytes {`, "TestOwnerRefusesUnsafeNames"),
		breaks("owner-name-of-any-form", `if len(o.Name) > maxSubdomainBytes || !dnsSubdomain.MatchString(o.Name) {`, `if len(o.Name) > maxSubdomainBytes {`, "TestOwnerRefusesUnsafeNames"),
		breaks("path-of-any-folder", `if len(elements) != 4 || elements[0] != archiveFolder {`, `if len(elements) != 4 {`, "TestServerServesNothingElse"),
		breaks("path-of-any-digest", `if !ok || !hexSHA256.MatchString(hex) ||`, `if !ok ||`, "TestServerServesNothingElse"),
	),
	in("internal/artifact/server.go",
		breaks("server-any-method", `if r.Method != http.MethodGet && r.Method != http.MethodHead {`, `if r.Method == "" {`, "TestServerRefusesMethods"),
		breaks("server-other-spellings", `|| r.URL.RawPath != "" {`, `{`, "TestServerServesNothingElse"),
		breaks("server-cached", `header.Set("Cache-Control", "no-cache")`, `header.Del("Cache-Control")`, "TestServerServesArchives"),
		breaks("server-part-of-what-was-not-read", `if r.Header.Get("Range") != "" {`, `if r.Header.Get("Range") == "\x00" {`, "TestServerReadsTheWholeBeforeAPart"),
		breaks("server-own-disk-of-a-follower", `if s.Leads != nil && !s.Leads() {`, `if s.Leads != nil && s.Leads() {`, "TestFollowerAnswersAsTheLeader"),
		breaks("server-gone-is-served", `if expected == ExpectGone || expected == ExpectUnsettled {`, `if expected == ExpectUnsettled {`, "TestServerBeforeTheFirstLook"),
		breaks("server-unsettled-is-served", `if expected == ExpectGone || expected == ExpectUnsettled {`, `if expected == ExpectGone {`, "TestServerBeforeTheFirstLook"),
		breaks("server-gone-is-awaited", `if expected == ExpectUnsettled && s.Store`, `if s.Store`, "TestServerBeforeTheFirstLook"),
		breaks("server-unsettled-is-awaited-for-ever", `&& s.Store.mayHold(owner, hex) {`, `{`, "TestServerBeforeTheFirstLook"),
		breaks("server-withdrawn-is-awaited", `errors.Is(err, fs.ErrNotExist) && expected == ExpectPublished:`, `errors.Is(err, fs.ErrNotExist) && expected <= ExpectPublished:`, "TestServerBeforeTheFirstLook"),
	),
	in("internal/artifact/server_hop.go",
		breaks("hop-after-hop", `|| r.Header.Get(hopHeader) != "" ||`, `||`, "TestFollowersInACircle|TestFollowerHasNobodyToAsk"),
		breaks("hop-not-marked", `	request.Header.Set(hopHeader, "1")
`, ``, "TestWhatIsPassedOn"),
		breaks("hop-with-every-header", `range passedHeaders {
		if`, `range append(passedHeaders, "Cookie") {
		if`, "TestWhatIsPassedOn"),
		breaks("hop-of-nothing", `status == http.StatusOK && size > 0 && kind`, `status == http.StatusOK && size >= 0 && kind`, "TestFollowerTrustsNoAnswer"),
		breaks("hop-without-length", `status == http.StatusOK && size > 0 && kind`, `status == http.StatusOK && size != 0 && kind`, "TestFollowerTrustsNoAnswer"),
		breaks("hop-of-any-type", `size > 0 && kind == archiveType,`, `size > 0,`, "TestFollowerTrustsNoAnswer"),
		breaks("hop-part-unasked", `&& r.Header.Get("Range") != "" && (`, `&& (`, "TestFollowerTrustsNoAnswer"),
		breaks("hop-part-without-a-place", `hasPart && kind == archiveType ||`, `kind == archiveType ||`, "TestFollowerTrustsNoAnswer"),
		breaks("hop-unasked-304", `status == http.StatusNotModified && r.Header.Get("If-None-Match") != "":`, `status == http.StatusNotModified:`, "TestFollowerTrustsNoAnswer"),
		breaks("hop-retry-after-anything", `err != nil || after < 1 || after > longestRetryAfter {`, `err != nil {`, "TestFollowerTrustsNoAnswer"),
		breaks("hop-not-hashed", `		want:           hex,
`, ``, "TestFollowerTrustsNoAnswer|TestFollowerAnswersAsTheLeader"),
		breaks("hop-that-hangs", `	r.timer.Reset(hopStallTimeout)
`, ``, "TestFollowerEndsAHopThatHangs"),
		breaks("hops-without-number", `h.underWay >= maxHops ||`, `h.underWay >= 2*maxHops ||`, "TestFollowerBoundsItsHops"),
		breaks("hops-of-a-client-without-number", `h.clients[client] >= maxClientHops {`, `h.clients[client] >= 2*maxClientHops {`, "TestFollowerBoundsTheHopsOfAClient"),
		breaks("hops-of-a-client-for-ever", `if h.clients[client]--; h.clients[client] == 0 {`, `if h.clients[client] == 0 {`, "TestFollowerBoundsTheHopsOfAClient"),
		breaks("hop-to-the-dead", `h.failed == leader && time`, `h.failed != leader && time`, "TestFollowerLeavesADeadLeaderAlone"),
	),
	in("internal/artifact/server_whole.go",
		breaks("server-sends-the-end-of-anything", `hex.EncodeToString(w.hash.Sum(nil)) != w.want {`, `w.want == "" {`, "TestServerNoticesWhatTheDiskGotWrong"),
		breaks("server-compares-after-the-end", `w.left <= 0 &&`, `w.left < 0 &&`, "TestServerNoticesWhatTheDiskGotWrong"),
		breaks("server-hashes-parts", `err == nil && status == http.StatusOK {`, `err == nil {`, "TestServerSendsParts|TestServerServesArchives"),
		breaks("server-hashes-nothing", `err == nil && status == http.StatusOK {`, `err == nil && status == 0 {`, "TestServerNoticesWhatTheDiskGotWrong"),
		breaks("server-damage-untold", `		w.damaged()
`, ``, "TestServerNoticesWhatTheDiskGotWrong"),
	),
)
