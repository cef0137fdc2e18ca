"""The only room that opens outbound sockets: it asks once and translates to our units."""
