"""Customers and their endpoints: invitation, enrolment, renewal, revocation."""
