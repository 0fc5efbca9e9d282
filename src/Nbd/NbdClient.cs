namespace ZeroFlow.Nbd;

/// <summary>A client that has attached an export. Immutable.</summary>
/// <param name="Connection">Number of its connection, as the log has it.</param>
/// <param name="Peer">Where it comes from, and the names in its certificate; not its port.</param>
/// <param name="Export">What it has attached, by the name that it had then.</param>
/// <param name="IsSecured">It speaks TLS.</param>
/// <param name="AttachedAt">Since when.</param>
public sealed record NbdClient(long Connection, string Peer, string Export, bool IsSecured, DateTimeOffset AttachedAt);
