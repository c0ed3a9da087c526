package report

const (
	PageWidth = pageWidth
	PageLimit = pageLimit
)
