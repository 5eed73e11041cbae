/** What went wrong and what mends it, in words for the person in front of the page. */

/** The name is taken. */
const NAME_TAKEN = 104;
/** The room is being closed. */
const ROOM_CLOSED = 203;
/** The server could not make the room. */
const ROOM_CANNOT_BE_CREATED = 204;

/** The room is locked. */
const ROOM_LOCKED = 205;
/** Tokens: none, none of this server's, too late, for another room or name. */
const TOKEN = [401, 402, 404, 405];

/** Explains why a room could not be entered. */
export function explainJoin(error, user, room) {
  switch (error?.code) {
    case NAME_TAKEN:
      return {
        title: "This name is taken",
        text: `Somebody called ${user} is already in the room ${room}.`,
        hint: "Choose another name. If it was you, in a window that has just been closed: the name is free again after a few seconds.",
      };
    case ROOM_CLOSED:
      return {
        title: "The room is closing",
        text: `The room ${room} is just being closed.`,
        hint: "Try again in a moment.",
      };
    case ROOM_CANNOT_BE_CREATED:
      return {
        title: "The room could not be opened",
        text: `The server did not open the room ${room}.`,
        hint: "It may be busy, or your name may not be allowed to open rooms. Try again in a moment.",
      };
    case ROOM_LOCKED:
      return {
        title: "The room is locked",
        text: `Nobody else may enter the room ${room} for now.`,
        hint: "Ask somebody who is in it to let you in.",
      };
    case TOKEN[0]:
    case TOKEN[1]:
    case TOKEN[2]:
    case TOKEN[3]:
      return {
        title: "You need an invitation",
        text: `This server lets in whoever has a valid link for the room ${room} and this name.`,
        hint: "Ask whoever invited you for a new link.",
      };
    default:
      return {
        title: "You could not enter the room",
        text: `The server answered: ${messageOf(error)}`,
        hint: "Try again in a moment.",
      };
  }
}

/** Explains why there is neither camera nor microphone. */
export function explainDevices(error) {
  switch (error?.name) {
    case "NotAllowedError":
      return {
        title: "Camera and microphone are blocked",
        text: "The browser did not let this page use them.",
        hint: "Click the camera or lock sign beside the address, allow both, and try again. On a phone, also look into the system settings of the browser.",
      };
    case "NotFoundError":
      return {
        title: "No camera and no microphone",
        text: "Neither was found on this device.",
        hint: "Plug one in and try again, or enter the room to watch and listen.",
      };
    case "NotReadableError":
    case "AbortError":
      return {
        title: "Camera or microphone is busy",
        text: "Another program or browser window is using it.",
        hint: "Close the other program and try again.",
      };
    case "SecurityError":
      return {
        title: "This page needs https",
        text: "Browsers give camera and microphone only to pages that come over https.",
        hint: "Open the same address with https:// in front.",
      };
    default:
      return {
        title: "Camera and microphone did not start",
        text: messageOf(error),
        hint: "Try again, or enter the room to watch and listen.",
      };
  }
}

/** The text of whatever was thrown or sent. */
export function messageOf(error) {
  if (typeof error === "string" && error !== "") {
    return error;
  }
  return typeof error?.message === "string" && error.message !== "" ? error.message : "No reason was given.";
}
