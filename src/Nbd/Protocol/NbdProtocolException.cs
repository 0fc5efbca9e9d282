namespace ZeroFlow.Nbd.Protocol;

/// <summary>The client broke the protocol beyond repair; the only answer left is to close its connection.</summary>
internal sealed class NbdProtocolException(string message) : Exception(message);
