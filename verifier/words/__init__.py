"""What each part of the site says, in Chinese and English: `ROOM.json`, keys `ROOM_…`."""
