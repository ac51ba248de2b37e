"""Numbered plain SQL of the site's store: 0010–0019 lists, watch and API, 0020–0029 holders, 0030–0039 eligibility."""
